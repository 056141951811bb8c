/** Fills the file system of a store and prints what happened: `local-full-disk.ts DIRECTORY`, on a disk of a few MiB. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLocal } from '../../src/backends/local/local.ts'
import { sha256, type Hash } from '../../src/content/hash.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'

const [directory = ''] = process.argv.slice(2)
const ballast = join(directory, 'ballast')
writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024))
const store = await openLocal({ directory, clock })
await store.create('one')
const { log, content } = present(await store.open('one'))
const kept: Hash[] = []
const ids: string[] = []

const put = async (size: number): Promise<void> => {
  const chunk = someChunk(size)
  await content.put([chunk])
  kept.push(chunk.hash)
}
const append = async (): Promise<void> => {
  const added = entries(20)
  await log.append(added)
  ids.push(...added.map((entry) => entry.id))
}
const untilRefused = async (act: () => Promise<void>): Promise<string> => {
  for (let i = 0; i < 1000; i++) {
    try {
      await act()
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  return 'never'
}
const lost = async ({ log, content }: Pick<typeof ports, 'log' | 'content'>): Promise<string[]> => {
  const found = await content.get(kept)
  const there = new Set((await readAll(log)).map((entry) => entry.id))
  return [
    ...kept.filter((hash, i) => sha256(found[i] ?? new Uint8Array(0)) !== hash),
    ...ids.filter((id) => !there.has(id)),
  ]
}
const ports = { log, content }

const large = await untilRefused(() => put(200_000))
const small = await untilRefused(() => put(20_000))
const appended = await untilRefused(append)
const lostWhileFull = await lost(ports)
rmSync(ballast)
await put(200_000)
await put(20_000)
await append()
const afterwards = (await lost(ports)).length === 0 ? 'ok' : 'lost'
await store.close()
const again = await openLocal({ directory, clock })
const reopened = (await lost(present(await again.open('one')))).length === 0 ? 'ok' : 'lost'
await again.close()
process.stdout.write(JSON.stringify({ small, large, entries: appended, lost: lostWhileFull, afterwards, reopened }))
