import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Place, Running } from '../harness.ts'

/** Milliseconds between two saves in one folder. */
const PAUSE = 400
const FILES = 12

/** Two folders that agents keep in sync while somebody works in both. */
export interface Folders {
  /** Ends the work, waits until both folders hold what was saved last, and tells what does not; in words. */
  settle(milliseconds: number): Promise<readonly string[]>
  saves(): number
}

interface FoldersOptions {
  readonly place: Place
  /** The bucket. */
  readonly url: string
  readonly token: string
}

export async function startFolders({ place, url, token }: FoldersOptions): Promise<Folders> {
  const expected = new Map<string, string>()
  const stopping = new AbortController()
  const names = ['ann', 'bob']
  const agents: Running[] = []
  const homes = names.map((name) => {
    const machine = place.machine(name, { BLOBS_TOKEN: token })
    const folder = join(machine.home, 'files')
    mkdirSync(join(folder, name), { recursive: true })
    agents.push(machine.start(['sync', folder, url, '--watch', '--json']))
    return folder
  })
  let saves = 0
  const work = async (name: string, folder: string): Promise<void> => {
    for (let count = 0; !stopping.signal.aborted; count++) {
      const path = join(name, `file-${count % FILES}.txt`)
      if (count % 7 === 6) {
        rmSync(join(folder, path), { force: true })
        expected.delete(path)
      } else {
        writeFileSync(join(folder, path), `${name} ${count}`)
        expected.set(path, `${name} ${count}`)
      }
      saves += 1
      await sleep(PAUSE, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const working = homes.map((folder, index) => work(names[index] ?? '', folder))
  return {
    saves: () => saves,
    settle: async (milliseconds) => {
      stopping.abort()
      await Promise.all(working)
      const until = performance.now() + milliseconds
      const wrong = (): readonly string[] => homes.flatMap((folder) => differences(folder, expected))
      while (wrong().length > 0 && performance.now() < until) await sleep(200)
      const left = wrong()
      const finished = await Promise.all(agents.map((agent) => agent.stop('SIGTERM')))
      return [...left, ...finished.filter(({ code }) => code !== 0).map(({ err }) => `an agent ended badly: ${err}`)]
    },
  }
}

function differences(folder: string, expected: ReadonlyMap<string, string>): readonly string[] {
  const there = new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name).slice(folder.length + 1))
      .filter((path) => !path.startsWith('.blobs'))
      .map((path) => [path, readOr(join(folder, path))] as const),
  )
  const wrong = [...expected].filter(([path, text]) => there.get(path) !== text)
  return [
    ...wrong.map(
      ([path, text]) => `${folder}: ${path} is ${JSON.stringify(there.get(path))}, not ${JSON.stringify(text)}`,
    ),
    ...[...there.keys()].filter((path) => !expected.has(path)).map((path) => `${folder}: ${path} is there`),
  ]
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It goes just now.
    return undefined
  }
}
