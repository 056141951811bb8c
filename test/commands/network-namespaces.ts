import { spawnSync } from 'node:child_process'

/** Two network stacks with a wire between them, as two machines have them. */
export interface Network {
  /** What runs a command in the first one, or the second. */
  readonly via: readonly [readonly string[], readonly string[]]
  /** Their addresses. */
  readonly addresses: readonly [string, string]
  dispose(): void
}

/** Null where this user, or this system, cannot make them. */
export function openNetwork(): Network | null {
  const id = process.pid % 65_536
  const [one, two] = [`blobs-a${id}`, `blobs-b${id}`]
  const subnet = `10.${77 + (id >> 14)}.${(id >> 6) & 255}`
  const addresses = [`${subnet}.1`, `${subnet}.2`] as const
  const dispose = (): void => {
    for (const name of [one, two]) ip(['netns', 'delete', name])
  }
  const steps = [
    ['netns', 'add', one],
    ['netns', 'add', two],
    ['link', 'add', 'wire', 'netns', one, 'type', 'veth', 'peer', 'name', 'wire', 'netns', two],
    ...[one, two].flatMap((name, index) => [
      ['-n', name, 'address', 'add', `${addresses[index]}/24`, 'dev', 'wire'],
      ['-n', name, 'link', 'set', 'wire', 'up'],
      ['-n', name, 'link', 'set', 'lo', 'up'],
    ]),
  ]
  if (steps.every(ip)) return { via: [inside(one), inside(two)], addresses, dispose }
  dispose()
  return null
}

function ip(args: readonly string[]): boolean {
  return spawnSync('ip', args, { stdio: 'ignore', timeout: 10_000 }).status === 0
}

function inside(name: string): readonly string[] {
  return ['ip', 'netns', 'exec', name]
}
