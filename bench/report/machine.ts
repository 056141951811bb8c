import { execFileSync } from 'node:child_process'
import { cpus, release, tmpdir, totalmem, type } from 'node:os'
import { PEERS, versionOf } from '../programs.ts'

/** What the figures were measured on, as a list. */
export function describeMachine(day: string): string {
  const [first] = cpus()
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GiB`
  const lines = [
    `- ${cpus().length} cores (${first?.model.trim() ?? 'unknown'}), ${memory} of memory, ${fileSystem()}, ${type()} ${release()}`,
    `- Node ${process.versions.node}; measured on ${day}`,
    ...PEERS.map((peer) => `- ${peer}: ${versionOf(peer) ?? 'not installed'}`),
  ]
  return lines.join('\n')
}

function fileSystem(): string {
  try {
    return execFileSync('df', ['--output=fstype', tmpdir()], { encoding: 'utf8' }).split('\n')[1] ?? ''
  } catch {
    return 'unknown file system'
  }
}
