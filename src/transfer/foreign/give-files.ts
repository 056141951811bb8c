import { dirname, join } from 'node:path'
import { hasher, isHash } from '../../content/hash.ts'
import { writeAtomically } from '../../platform/atomic-write.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import type { TransferContext } from '../context.ts'
import { readBlob } from '../get.ts'
import { listAll, versionsOf } from '../listing.ts'
import { readFile } from '../local-file.ts'
import { isRef, pathOfRef, storedMeta, writeStored } from './blobs-storage.ts'
import type { ForeignResult } from './items.ts'

/** Largest blob that is written as JSON. */
const MAX_STORED = 48 * 1024 * 1024

interface Giving {
  /** Keys below it, without it, are what is given. */
  readonly prefix: string
  readonly folder: string
  readonly dryRun: boolean
}

/** Writes blobs as the files of a server of seed 000. */
export async function* giveStorage(context: TransferContext, giving: Giving): AsyncGenerator<ForeignResult> {
  yield* giveEach(context, giving, isRef, 'its key is no ref: 64 hexadecimal digits', async (info, name, path) => {
    if (info.size > MAX_STORED)
      throw new BlobsError('TooLarge', `${name} has ${info.size} bytes, and goes into one line of JSON`)
    const pieces: Uint8Array[] = []
    for await (const piece of readBlob(context, info)) pieces.push(Uint8Array.from(piece))
    const text = Buffer.from(writeStored(Buffer.concat(pieces), storedMeta(await versionsOf(context, info.key))))
    const file = join(path, pathOfRef(name))
    const stat = context.fs.lstat(file)
    const isThere = stat?.kind === 'file' && stat.size === text.length
    if (isThere && text.equals(context.fs.readSmall(file, text.length) ?? new Uint8Array())) return false
    if (giving.dryRun) return true
    makeFolder(context, dirname(file))
    await writeAtomically(context.fs, context.ids, file, once(text))
    // That server would bring it back over what was just written.
    if (context.fs.lstat(`${file}.backup`) !== null) context.fs.unlink(`${file}.backup`)
    return true
  })
}

/** Writes blobs whose key is the hash of what is in them as files of that name. */
export async function* giveAddresses(context: TransferContext, giving: Giving): AsyncGenerator<ForeignResult> {
  yield* giveEach(context, giving, isHash, 'its key is no SHA-256', async (info, name, path) => {
    if (info.hash !== name) throw new BlobsError('Corrupt', `${name} holds other bytes than its key says`)
    const file = join(path, name)
    const stat = context.fs.lstat(file)
    if (stat?.kind === 'file' && stat.size === info.size && (await hashOf(context, file)) === name) return false
    if (giving.dryRun) return true
    await writeAtomically(context.fs, context.ids, file, readBlob(context, info))
    return true
  })
}

async function* giveEach(
  context: TransferContext,
  { prefix, folder, dryRun }: Giving,
  isName: (name: string) => boolean,
  otherwise: string,
  give: (info: BlobInfo, name: string, folder: string) => Promise<boolean>,
): AsyncGenerator<ForeignResult> {
  if (!dryRun) makeFolder(context, folder)
  for await (const info of listAll(context, { prefix })) {
    context.signal.throwIfAborted()
    const { key, size } = info
    const name = key.slice(prefix.length)
    if (!isName(name)) {
      yield { kind: 'skipped', name: key, reason: otherwise }
      continue
    }
    try {
      yield (await give(info, name, folder))
        ? { kind: 'done', name: key, key, size, info }
        : { kind: 'unchanged', name: key }
    } catch (error) {
      if (context.signal.aborted || (error instanceof BlobsError && CONCERNS_ALL.has(error.code))) throw error
      yield { kind: 'failed', name: key, error }
    }
    context.progress.add(0, 1)
  }
}

const CONCERNS_ALL: ReadonlySet<string> = new Set(['Unauthenticated', 'Forbidden', 'Unavailable', 'QuotaExceeded'])

function makeFolder({ fs }: Pick<TransferContext, 'fs'>, folder: string): void {
  if (fs.lstat(folder) !== null) return
  makeFolder({ fs }, dirname(folder))
  fs.mkdir(folder)
}

async function hashOf({ fs, signal }: TransferContext, file: string): Promise<string> {
  const whole = hasher()
  for await (const piece of readFile(fs, file, signal, () => undefined)) whole.update(piece)
  return whole.digest('hex')
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
