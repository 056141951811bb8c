import type { TransferContext } from './context.ts'
import { readAddresses } from './foreign/addresses.ts'
import { readStorage } from './foreign/blobs-storage.ts'
import { bring } from './foreign/bring.ts'
import { readTables } from './foreign/changelog-tables.ts'
import { giveAddresses, giveStorage } from './foreign/give-files.ts'
import { giveTables } from './foreign/give-tables.ts'
import type { ForeignResult, Found } from './foreign/items.ts'

/** How other programs keep their blobs: docs/operations.md says where they lie here. */
export type ForeignForm = (typeof FOREIGN_FORMS)[number]
export const FOREIGN_FORMS = ['blobs-storage', 'changelog', 'addresses'] as const

interface Foreign {
  readonly form: ForeignForm
  /** Folder or file of the other program. */
  readonly path: string
  /** What all keys begin with; '' or ending with `/`. */
  readonly prefix: string
  readonly dryRun: boolean
}

/**
 * Brings what another program keeps into a bucket, so that `exportTo` gives the same bytes back. What was brought before makes no new
 * version, and what changed in the bucket since is left alone, unless `again`. What cannot be brought is told, and does not stop the others.
 */
export function importFrom(
  context: TransferContext,
  { form, path, prefix, dryRun, again }: Foreign & { readonly again: boolean },
): AsyncIterable<ForeignResult> {
  const options = { dryRun, again, history: form === 'changelog' }
  return bring(context, read(context, form, path, prefix), options)
}

function read(context: TransferContext, form: ForeignForm, path: string, prefix: string): AsyncIterable<Found> {
  switch (form) {
    case 'blobs-storage':
      return readStorage(context.fs, path, prefix)
    case 'changelog':
      return readTables(context.fs, path, prefix)
    case 'addresses':
      return readAddresses(context, path, prefix)
  }
}

/** Writes what is below the prefix as another program keeps it; files that are there just so are left alone. */
export function exportTo(
  context: TransferContext,
  { form, path, prefix, dryRun }: Foreign,
): AsyncIterable<ForeignResult> {
  switch (form) {
    case 'blobs-storage':
      return giveStorage(context, { prefix, folder: path, dryRun })
    case 'changelog':
      return giveTables(context, { prefix, path, dryRun })
    case 'addresses':
      return giveAddresses(context, { prefix, folder: path, dryRun })
  }
}
