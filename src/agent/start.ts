import { spawn } from 'node:child_process'
import { realpathSync } from 'node:fs'

/** How this very program is run: its runtime and its file, absolute. */
export function thisProgram(): readonly [runtime: string, script: string] {
  return [process.execPath, realpathSync(process.argv[1] ?? '')]
}

// Ends with the agent's own end, or when another one runs already; after a crash it begins again, after a pause that doubles up to a minute.
const LOOP = `pause=1
while :; do
  start=$(date +%s)
  "$@" </dev/null >/dev/null 2>&1
  code=$?
  [ $code -eq 0 ] || [ $code -eq 2 ] || [ $code -eq 12 ] && exit $code
  [ $(($(date +%s) - start)) -gt 60 ] && pause=1
  sleep $pause
  pause=$((pause * 2)); [ $pause -gt 60 ] && pause=60
done`

/** Starts the background agent so that it outlives this process and its terminal, and comes back after a crash. */
export function startDetached(env: Readonly<Record<string, string | undefined>>): void {
  const [runtime, script] = thisProgram()
  const command = [runtime, script, 'agent', 'run']
  const [program, args] =
    process.platform === 'win32' ? [runtime, command.slice(1)] : ['/bin/sh', ['-c', LOOP, 'blobs-agent', ...command]]
  const child = spawn(program, args, { cwd: '/', detached: true, stdio: 'ignore', env })
  child.unref()
}
