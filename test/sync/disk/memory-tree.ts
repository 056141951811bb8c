import type { Known, KnownTree, Observation, Observed } from '../../../src/sync/disk/observed.ts'

/** A local tree in memory, as a session keeps it in SQLite: observations go in, what is known comes out. */
export interface MemoryTree extends KnownTree {
  readonly nodes: ReadonlyMap<string, Exclude<Observed, { kind: 'absent' | 'ignored' }>>
  record(observations: readonly Observation[]): void
  /** Each path with what stands there: a hash (and `+x`), `folder`, or the reason of an unknown. */
  plain(): Record<string, string>
}

export function memoryTree(): MemoryTree {
  const nodes = new Map<string, Exclude<Observed, { kind: 'absent' | 'ignored' }>>()
  const inFolder = (path: string, folder: string) =>
    folder === '' || (path.startsWith(`${folder}/`) && path !== `${folder}/`)
  return {
    nodes,
    record: (observations) => {
      for (const { path, node } of observations) {
        if (node.kind === 'absent' || node.kind === 'ignored') nodes.delete(path)
        else nodes.set(path, node)
      }
    },
    children: (folder) => {
      const files = new Map<string, string>()
      const others = new Map<string, Known>()
      const folders = new Set<string>()
      for (const [path, node] of nodes) {
        if (!inFolder(path, folder)) continue
        const rest = folder === '' ? path : path.slice(folder.length + 1)
        const slash = rest.indexOf('/')
        if (slash < 0 && node.kind === 'file') files.set(rest, node.identity)
        else if (slash < 0 || slash === rest.length - 1) others.set(rest, node)
        else folders.add(rest.slice(0, slash))
      }
      return { files, others, folders }
    },
    get: (path) => nodes.get(path) ?? null,
    filesBelow: (folder) =>
      [...nodes].flatMap(([path, node]) =>
        inFolder(path, folder) && node.kind === 'file' && node.identity !== '' ? [node] : [],
      ),
    below: (folder) => [...nodes.keys()].filter((path) => inFolder(path, folder)),
    plain: () =>
      Object.fromEntries(
        [...nodes].map(([path, node]) => [
          path,
          node.kind === 'file'
            ? node.hash.slice(0, 8) + (node.executable ? '+x' : '')
            : node.kind === 'folder'
              ? 'folder'
              : node.reason,
        ]),
      ),
  }
}
