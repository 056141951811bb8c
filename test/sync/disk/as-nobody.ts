import { systemClock } from '../../../src/platform/system.ts'
import { openDisk } from '../../../src/sync/disk/transition.ts'
import { systemIds } from '../../../src/platform/system.ts'
import { openIgnore } from '../../../src/sync/disk/ignore.ts'
import { openRoot, readMarker } from '../../../src/sync/disk/marker.ts'
import { scan } from '../../../src/sync/disk/scan.ts'
import { disk, tell } from './folder.ts'
import { memoryTree } from './memory-tree.ts'
import { conflict, download, file, removal } from './steps.ts'

// Run as a user without privileges: does what it is told in a folder and prints what came of it as JSON.
const [folder = '', stateDirectory = '', task = '', path = ''] = process.argv.slice(2)
const root = openRoot(disk, folder, readMarker(disk, folder)?.id ?? '')
const now = openDisk({ fs: disk, root, stateDirectory, device: 'laptop', clock: systemClock, ids: systemIds })

async function look(): Promise<string[]> {
  const tree = memoryTree()
  for (const known of path.split(',').filter((name) => name !== '')) {
    const node = { ...file('old'), kind: 'file', identity: 'x', mtimeNs: 0n } as const
    tree.record([{ path: known, node }])
  }
  const found: string[] = []
  const ignore = openIgnore({ fs: disk, root: folder })
  for await (const batch of scan({ fs: disk, root, scope: 'all', known: tree, ignore, clock: systemClock }))
    found.push(...tell(batch))
  return found.sort()
}

const work = {
  create: () => download(path, 'new', null),
  replace: () => download(path, 'new', file('old')),
  mode: () => download(path, 'old', file('old'), { executable: true, source: null }),
  delete: () => removal(path, file('old')),
  conflict: () => conflict(path, 'old', 'new'),
}
async function act(name: keyof typeof work): Promise<unknown> {
  const [result] = await now.apply([work[name]()])
  return { type: result?.type, reason: result?.type === 'failed' ? result.reason : null }
}

process.stdout.write(JSON.stringify(task === 'scan' ? await look() : await act(task as keyof typeof work)))
