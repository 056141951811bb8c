/**
 * A process that writes into a local store: `local-writer.ts DIRECTORY COUNT PARALLEL`. Each round puts a small and a large
 * chunk and appends an entry that names them; when all is acknowledged it prints `ID HASH,HASH`.
 */
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { present, someChunk } from './conformance.ts'
import { systemIds as ids } from '../../src/platform/system.ts'

const [directory = '', count = '0', parallel = '1'] = process.argv.slice(2)
const backend = await openLocal({ directory, clock, packBytes: 4 * 1024 * 1024 })
await backend.create('load')
const { log, content } = present(await backend.open('load'))
let left = Number(count)

async function write(): Promise<void> {
  for (; left > 0;) {
    left--
    const chunks = [someChunk(500), someChunk(70_000 + (left % 7) * 20_000)]
    const id = ids.next()
    const names = chunks.map((chunk) => chunk.hash).join(',')
    await content.put(chunks)
    await log.append([{ id, data: Buffer.from(names) }])
    process.stdout.write(`${id} ${names}\n`)
  }
}

process.stdout.write('ready\n')
await Promise.all(Array.from({ length: Number(parallel) }, write))
await backend.close()
