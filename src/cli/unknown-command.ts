import type { ErrorView } from './errors.ts'
import { plain } from './format.ts'

/** The words that a message of oclif calls no command, arguments among them; null: it is about something else. */
export function unknownWords(message: string): string | null {
  const [, id] = /^command (.+) not found\.?$/is.exec(message) ?? []
  return id === undefined ? null : id.replaceAll(':', ' ')
}

/** What to tell about words that begin with no command. `commands`: all there are, as one types them. */
export function viewUnknown(words: string, commands: readonly string[]): ErrorView {
  const [first = '', second] = words.split(' ')
  const both = second === undefined ? first : `${first} ${second}`
  const ofBoth = nearest(both, commands)
  const near = ofBoth ?? nearest(first, commands)
  const typed = ofBoth !== null || commands.some((command) => command.startsWith(`${first} `)) ? both : first
  const guess = near === null ? '' : `did you mean blobs ${near}? · `
  return {
    code: 'Usage',
    message: `there is no ${first.startsWith('-') ? 'flag' : 'command'} ${plain(typed)}`,
    hint: `${guess}what there is: blobs --help`,
    exitCode: 2,
    retryable: false,
  }
}

/** What people type who know other programs. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    rename: 'mv',
    copy: 'cp',
    move: 'mv',
    upload: 'put',
    push: 'put',
    download: 'get',
    pull: 'get',
    dir: 'ls',
    list: 'ls',
    delete: 'rm',
    remove: 'rm',
    log: 'history',
    versions: 'history',
    info: 'stat',
    show: 'cat',
    server: 'serve',
    start: 'share',
    undelete: 'restore',
    resolve: 'conflicts resolve',
  }),
)

/** The command that was most likely meant, or null if none is near. */
export function nearest(words: string, commands: readonly string[]): string | null {
  const typed = words.toLowerCase()
  const known = OTHER_NAMES.get(typed)
  if (known !== undefined && commands.includes(known)) return known
  let best: string | null = null
  // A third of the letters may be wrong; beyond that it is another word.
  let least = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const command of commands) {
    const edits = distance(typed, command)
    if (edits < least) [best, least] = [command, edits]
  }
  return best
}

/** Edits that make one word of the other: a letter more, less or another, or two neighbours swapped. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const replace = (row[j - 1] ?? 0) + (same ? 0 : 1)
      const edits = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replace)
      next.push(swapped ? Math.min(edits, (before[j - 2] ?? 0) + 1) : edits)
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
