import { join } from 'node:path'
import type { FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'

/** What is about to be done to a user's file: enough to bring it back to its name after a crash. */
export interface Intent {
  /** Names the file in the temporary folder. */
  readonly op: string
  readonly path: Path
  /** SHA-256 of the bytes that come; '' if none do. */
  readonly comes: string
}

/** A replaced or deleted file that some process may still write to. */
export interface Late {
  readonly op: string
  readonly path: Path
  /** Where it is, below the root. */
  readonly trash: Path
  readonly hash: string
  readonly size: number
  readonly mtimeNs: string
}

/** Notes that outlive a crash, in the state directory: one file a note, written whole and durable before what it speaks of is done. */
export interface Journal {
  intend(name: string, intents: readonly Intent[]): Promise<void>
  remember(late: Late): Promise<void>
  /** Removes the note of this name, if it is there. */
  forget(name: string): void
  intents(): ReadonlyMap<string, Intent>
  late(): readonly Late[]
  /** Removes all intents but the notes of those operations, and what was cut short. */
  settle(keep: ReadonlySet<string>): void
}

const INTENTS = '.intents'
const LATE = '.late'
const LIMIT = 256 * 1024 * 1024

/** The folder must exist. */
export function openJournal(fs: FileSystem, stateDirectory: string): Journal {
  const folder = join(stateDirectory, 'journal')
  if (!fs.lstat(folder)) {
    fs.mkdir(folder, 0o700)
    fs.syncFolder(stateDirectory)
  }
  const write = async (name: string, lines: readonly object[]): Promise<void> => {
    const file = await fs.create(join(folder, name))
    try {
      await file.write(Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
      await file.sync()
    } finally {
      await file.close()
    }
    fs.syncFolder(folder)
  }
  const notes = (ending: string): string[] =>
    fs.list(folder).flatMap(({ name }) => (name?.endsWith(ending) ? [name.slice(0, -ending.length)] : []))
  return {
    intend: (name, intents) => write(name + INTENTS, intents),
    remember: (late) => write(late.op + LATE, [late]),
    forget: (name) => {
      for (const ending of [INTENTS, LATE]) {
        const path = join(folder, name + ending)
        if (fs.lstat(path)) fs.unlink(path)
      }
    },
    intents: () => {
      const all = notes(INTENTS).flatMap((name) => readLines<Intent>(fs, join(folder, name + INTENTS)))
      return new Map(all.map((intent) => [intent.op, intent]))
    },
    late: () => notes(LATE).flatMap((name) => readLines<Late>(fs, join(folder, name + LATE))),
    settle: (keep) => {
      for (const name of notes(INTENTS)) {
        const path = join(folder, name + INTENTS)
        if (keep.size === 0 || !readLines<Intent>(fs, path).some(({ op }) => keep.has(op))) fs.unlink(path)
      }
      for (const name of notes(LATE)) {
        if (readLines<Late>(fs, join(folder, name + LATE)).length === 0) fs.unlink(join(folder, name + LATE))
      }
    },
  }
}

/** A line that was cut short by a crash speaks of something that was never begun. */
function readLines<T>(fs: FileSystem, path: string): T[] {
  const text = Buffer.from(fs.readSmall(path, LIMIT) ?? []).toString('utf8')
  const found: T[] = []
  for (const line of text.split('\n')) {
    try {
      if (line !== '') found.push(JSON.parse(line) as T)
    } catch {
      break
    }
  }
  return found
}
