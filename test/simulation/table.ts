import { sameContent } from '../../src/sync/core/reconcile.ts'
import type { Base, Local, Remote } from '../../src/sync/core/types.ts'
import { baseOf, localOf, remoteOf, type Columns } from '../../src/sync/state/encode.ts'

const DISK_WITH_BASE = ['nothing', 'unknown', 'as agreed', 'something else']
const BUCKET_WITH_BASE = ['never was', 'deleted', 'as agreed', 'newer, as agreed', 'newer, something else', 'older']
const DISK_WITHOUT = ['nothing', 'unknown', 'something']
const BUCKET_WITHOUT = ['never was', 'deleted', 'something', 'the same']

/** Every row of the table that a plan can be asked about. */
export const SITUATIONS: readonly string[] = [
  ...DISK_WITH_BASE.flatMap((disk) => BUCKET_WITH_BASE.map((bucket) => nameOf('agreed', disk, bucket))),
  ...DISK_WITHOUT.flatMap((disk) => BUCKET_WITHOUT.map((bucket) => nameOf('new', disk, bucket))),
].filter((name) => !isImpossible(name))

function isImpossible(name: string): boolean {
  return [
    // In sync, or nothing at all.
    nameOf('agreed', 'as agreed', 'as agreed'),
    nameOf('new', 'nothing', 'never was'),
    // There is nothing to be the same as.
    nameOf('new', 'nothing', 'the same'),
    nameOf('new', 'unknown', 'the same'),
  ].includes(name)
}

function nameOf(past: string, disk: string, bucket: string): string {
  return `row: ${past}; disk: ${disk}; bucket: ${bucket}`
}

/** Which row of the table this is. */
export function situationOf(row: Columns): string {
  const [base, local, remote] = [baseOf(row), localOf(row), remoteOf(row)]
  if (base === null) return nameOf('new', diskOf(local), newInBucket(local, remote))
  return nameOf('agreed', diskSince(base, local), bucketSince(base, remote))
}

function diskOf(local: Local | null): string {
  if (local === null) return 'nothing'
  return local.kind === 'unknown' ? 'unknown' : 'something'
}

function newInBucket(local: Local | null, remote: Remote | null): string {
  if (remote === null) return 'never was'
  if (remote.kind === 'deleted') return 'deleted'
  return local !== null && local.kind !== 'unknown' && sameContent(local, remote) ? 'the same' : 'something'
}

function diskSince(base: Base, local: Local | null): string {
  if (local === null || local.kind === 'unknown') return diskOf(local)
  return sameContent(local, base) ? 'as agreed' : 'something else'
}

function bucketSince(base: Base, remote: Remote | null): string {
  if (remote === null) return 'never was'
  if (remote.kind === 'deleted') return 'deleted'
  if (remote.version < base.version) return 'older'
  const same = sameContent(remote, base)
  if (remote.version === base.version) return same ? 'as agreed' : 'newer, something else'
  return same ? 'newer, as agreed' : 'newer, something else'
}
