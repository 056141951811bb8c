/**
 * Writes lines to stderr together with all others of the same turn of the event loop: each writing makes the whole program wait. What waits
 * still when the program ends is written then.
 */
export function linesToStderr(): (line: string) => void {
  let waiting = ''
  const flush = (): void => {
    const lines = waiting
    waiting = ''
    if (lines !== '') process.stderr.write(lines)
  }
  process.once('exit', flush)
  return (line) => {
    if (waiting === '') setImmediate(flush)
    waiting += line
  }
}
