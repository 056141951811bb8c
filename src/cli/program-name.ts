import { basename, relative } from 'node:path'

/** How to run this program again: by its name when it is installed, else the file. */
export function programName(): string {
  const script = process.argv[1] ?? 'blobs'
  return basename(script) === 'run.js' ? `node ${relative(process.cwd(), script) || script}` : 'blobs'
}

/** A word as a POSIX shell reads it. */
export function shellWord(text: string): string {
  return /^[\p{L}\p{N}_./:@%+=~-]+$/u.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
