import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Repair } from '../backends/local/repair.ts'
import { systemFileSystem } from '../platform/file-system.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Inspection } from '../store/contract/findings.ts'
import type { Donor } from '../store/donors.ts'
import type { EntrySource } from '../store/mend.ts'
import type { Backend, Position } from '../store/ports.ts'
import type { Places } from './places.ts'

export interface RepairStoreOptions {
  /** Directory of the embedded store. */
  readonly data: string
  /** Where bytes that are lost may be: folders, directories of stores, URLs of servers or of buckets there. */
  readonly from: readonly string[]
  readonly places: Places
  readonly clock: Clock
  readonly ids: Ids
  readonly inspection: Pick<Inspection, 'pace'>
}
export interface Repaired {
  /** Folder in the store with what was replaced. */
  readonly aside: string
  /** Entries of logs that were lost, and came back. */
  readonly recalled: readonly { readonly bucket: string; readonly position: Position; readonly from: string }[]
  /** Entries whose changes nobody knows any more. */
  readonly lostEntries: readonly { readonly bucket: string; readonly position: Position }[]
  /** Keys of which later changes were kept, though they followed lost ones: their versions count from another number. */
  readonly renumbered: readonly { readonly bucket: string; readonly key: string }[]
  /** Chunks that were lost, and came back. */
  readonly chunks: number
}

/**
 * Makes a new store of what can be read in the old one and found elsewhere, and puts it in its place; what was there is kept in
 * the folder `aside`. If it throws, the store is as it was. Throws `Refused` while another process uses the store.
 */
export async function repairStore(options: RepairStoreOptions): Promise<Repaired> {
  const { data, clock, inspection, places, from } = options
  const [{ openRepair }, { bucketNameIn }] = await Promise.all([
    import('../backends/local/repair.ts'),
    import('../store/mend.ts'),
  ])
  await using opened = new AsyncDisposableStack()
  const helpers = await openHelpers(from, places, clock, opened)
  const repair = await openRepair({
    directory: data,
    clock,
    nameOf: bucketNameIn,
    pace: (bytes) => inspection.pace(bytes),
  })
  try {
    const result = await mend(options, repair, helpers)
    return { ...result, aside: await repair.commit() }
  } catch (error) {
    await repair.abandon()
    throw error
  }
}

/** Where help may come from. */
interface Helpers {
  readonly donors: readonly Donor[]
  readonly stores: readonly { readonly backend: Backend; readonly name: string }[]
}

async function openHelpers(
  from: readonly string[],
  places: Places,
  clock: Clock,
  opened: AsyncDisposableStack,
): Promise<Helpers> {
  const { backendDonor, bucketDonor, folderDonor, bucketsDonor } = await import('../store/donors.ts')
  const { openLocal } = await import('../backends/local/local.ts')
  const donors: Donor[] = []
  const stores: { backend: Backend; name: string }[] = []
  for (const name of from) {
    if (name.includes('://')) {
      const target = places.target(name)
      const buckets = await places.buckets(target.location)
      donors.push(target.bucket === '' ? bucketsDonor(buckets) : bucketDonor(await places.open(target)))
    } else if (existsSync(join(name, 'store.db'))) {
      const backend = await openLocal({ directory: name, clock })
      opened.defer(() => backend.close())
      donors.push(backendDonor(backend))
      stores.push({ backend, name })
    } else if (statSync(name).isDirectory()) donors.push(folderDonor(systemFileSystem(), name))
    else throw new BlobsError('InvalidRequest', `${name} is neither a folder nor a store nor a URL`)
  }
  return { donors, stores }
}

type Mended = Omit<Repaired, 'aside'>

async function mend(options: RepairStoreOptions, repair: Repair, helpers: Helpers): Promise<Mended> {
  const { clock, ids, inspection } = options
  const { backend, views } = repair
  const { mendLog, readMended } = await import('../store/mend.ts')
  const { restoreChunks } = await import('../store/donors.ts')
  const { openView, removeView, viewPath } = await import('../store/view/view.ts')
  const mended = { recalled: [], lostEntries: [], renumbered: [], chunks: 0 } as {
    recalled: Repaired['recalled'][number][]
    lostEntries: Repaired['lostEntries'][number][]
    renumbered: Repaired['renumbered'][number][]
    chunks: number
  }
  for (const { name, gaps, only } of await bucketsOf(repair)) {
    const ports = await backend.open(name)
    if (ports === null) continue
    const sources = await openSources(views, helpers, name, only)
    const log = {
      name,
      ports,
      gaps,
      putEntries: repair.putEntries.bind(repair, name),
      sources: sources.all,
      maxEntryBytes: backend.promises.maxEntryBytes,
      clock,
      ids,
    }
    const path = viewPath(backend.viewDirectory ?? views, ids.next())
    const view = await openView({ path, bucket: name, clock, ids })
    try {
      const { recalled, lost } = await mendLog(log)
      for (const { position, source } of recalled) mended.recalled.push({ bucket: name, position, from: source })
      for (const position of lost) mended.lostEntries.push({ bucket: name, position })
      for (const key of await readMended(log, lost, view)) mended.renumbered.push({ bucket: name, key })
      mended.chunks += await restoreChunks({ ports, view, donors: [repair, ...helpers.donors], pace: inspection.pace })
    } finally {
      view.close()
      removeView(path)
      await sources.close()
    }
  }
  return mended
}

interface BucketToMend {
  readonly name: string
  readonly gaps: readonly Position[]
  /** The one view that can tell of it. */
  readonly only?: string
}

/** Where no bucket is left at all, the views tell which there were, though not their names. */
async function bucketsOf({ backend, views, gaps }: Repair): Promise<readonly BucketToMend[]> {
  const names = await backend.names()
  if (names.length > 0) return names.map((name) => ({ name, gaps: gaps(name) }))
  const { openMemory } = await import('../store/view/recall.ts')
  const found: BucketToMend[] = []
  for (const only of readdirSync(views).filter((file) => /^[0-9a-f]{32}\.db$/.test(file))) {
    const memory = openMemory(join(views, only))
    const length = memory?.position ?? 0
    memory?.close()
    const name = `recovered-${only.slice(0, 8)}`
    if (length > 0 && (await backend.create(name))) {
      found.push({ name, gaps: Array.from({ length }, (_, index) => index + 1), only })
    }
  }
  return found
}

/** The views of the old store, and buckets of other stores; which of them knows this log is found out by their entries. */
async function openSources(
  views: string,
  { stores }: Helpers,
  bucket: string,
  only?: string,
): Promise<{ readonly all: readonly EntrySource[]; close(): Promise<void> }> {
  const [{ openMemory }, { logSource }] = await Promise.all([
    import('../store/view/recall.ts'),
    import('../store/mend.ts'),
  ])
  const all: EntrySource[] = []
  const open: (() => unknown)[] = []
  for (const name of readdirSync(views).filter((file) => file.endsWith('.db'))) {
    const memory = only === undefined || only === name ? openMemory(join(views, name)) : null
    if (memory === null) continue
    open.push(() => memory.close())
    all.push({
      name: `views/${name}`,
      idAt: async (position) => memory.idAt(position),
      entryAt: async (position) => memory.entryAt(position, bucket),
    })
  }
  for (const { backend, name } of only === undefined ? stores : []) {
    for (const other of await backend.names()) {
      const ports = await backend.open(other)
      if (ports === null) continue
      open.push(() => Promise.all([ports.log.close(), ports.content.close()]))
      all.push(logSource(ports, name))
    }
  }
  return {
    all,
    close: async () => {
      for (const close of open) await close()
    },
  }
}
