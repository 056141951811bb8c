import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLocal } from '../../../src/backends/local/local.ts'
import { systemStoreDisk as disk } from '../../../src/platform/store-disk.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import type { Foreign } from '../../../src/store/mirror/foreign.ts'
import { openMirror } from '../../../src/store/mirror/mirror.ts'
import { retrying } from '../../../src/store/retry.ts'
import { commit, entry, putChange, textOf } from '../acts.ts'

// A process that adds to a number in a place made of plain files, through the mirror that it shares with others of the machine.
const folderOf = (home: string): string => join(home, 'place')

/** What is there. */
export function readPlace(home: string): Map<string, string> {
  const folder = folderOf(home)
  if (!existsSync(folder)) return new Map()
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}

function filesForeign(home: string): Foreign {
  const folder = folderOf(home)
  return {
    promises: {
      name: 'files',
      durability: 'process',
      live: 'polled',
      cannot: { 'several writers': 'it replaces what is there' },
      fresh: 0,
      poll: 50,
      parallel: 2,
    },
    buckets: async () => [{ name: 'bucket', id: 'one' }],
    create: async () => false,
    remove: async () => false,
    open: () => ({
      list: async function* () {
        yield Array.from(readPlace(home), ([key, text]) => ({ key, tag: text, size: text.length, modified: null }))
      },
      read: async function* ({ key }) {
        yield readFileSync(join(folder, key))
      },
      check: () => undefined,
      write: async (changes) => {
        for (const { key, put } of changes) {
          const pieces: Uint8Array[] = []
          for await (const piece of put?.open() ?? []) pieces.push(Buffer.from(piece))
          await clock.sleep(3)
          if (put === null) rmSync(join(folder, key))
          else writeFileSync(join(folder, key), Buffer.concat(pieces))
        }
        return changes.map(({ key }) => readFileSync(join(folder, key), 'utf8'))
      },
      close: async () => undefined,
    }),
    close: async () => undefined,
  }
}

async function addOften(home: string, times: number): Promise<void> {
  mkdirSync(folderOf(home), { recursive: true })
  const buckets = openMirror({
    foreign: filesForeign(home),
    show: (name) => name,
    stateDirectory: join(home, 'state'),
    openShadow: (directory) => openLocal({ directory, clock }),
    singleWriter: true,
    clock,
    ids,
    disk,
    warn: () => undefined,
  })
  const store = retrying(await buckets.open('bucket'), { clock, chance: () => 0.5 })
  for (let done = 0; done < times;) {
    const current = await store.head('k')
    const value = current === null ? 0 : Number(await textOf(store, 'k', { version: current.version }))
    const expected = current === null ? 'absent' : { version: current.version, hash: current.hash }
    const outcome = await commit(store, entry(await putChange(store, 'k', `${value + 1}`, { expect: expected })))
    if (outcome.ok) done += 1
  }
  if ((await store.head('k'))?.author === 'unknown') throw new Error('what we wrote was taken for what others wrote')
  await buckets.close()
}

if (import.meta.main) await addOften(process.argv[2] ?? '', Number(process.argv[3]))
