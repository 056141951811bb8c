import { BlobsError } from '../contract/errors.ts'
import type { Checkpoint, Position, Trimming } from '../ports.ts'
import { nameOf, numberOf } from './names.ts'
import type { Objects } from './objects.ts'

/** Checkpoints that are kept: who has just learnt of one may still read it. */
const CHECKPOINTS = 2

/** `floor/N`: entries up to N are gone. `checkpoint/N`: the hash of what the entries up to N amount to. The highest number counts. */
export function openTrimming(
  objects: Objects,
  root: string,
): { readonly trimming: Trimming; readonly expired: (after: Position) => Promise<void> } {
  const numbers = async (kind: string): Promise<readonly number[]> => {
    const all: number[] = []
    for await (const batch of objects.list({ prefix: `${root}${kind}/` }))
      all.push(...batch.map(({ name }) => numberOf(name)))
    return all
  }
  const removeOld = async (kind: string, all: readonly number[], keep: number): Promise<void> => {
    const old = [...all].sort((a, b) => b - a).slice(keep)
    if (old.length > 0) await objects.remove(old.map((number) => nameOf(`${root}${kind}/`, number)))
  }
  const floor = async (): Promise<Position> => Math.max(0, ...(await numbers('floor')))
  const trimming: Trimming = {
    floor,
    trim: async ({ through }) => {
      const starts = await numbers('log')
      const gone = starts.filter((_, index) => (starts[index + 1] ?? Number.POSITIVE_INFINITY) <= through + 1)
      const behind = starts[gone.length]
      if (gone.length === 0 || behind === undefined) return
      await objects.create(nameOf(`${root}floor/`, behind - 1), Buffer.from('floor\n'))
      await objects.remove(gone.map((start) => nameOf(`${root}log/`, start)))
      await removeOld('floor', await numbers('floor'), 1)
    },
    checkpoint: async () => {
      const position = Math.max(0, ...(await numbers('checkpoint')))
      const bytes = position === 0 ? null : await objects.read(nameOf(`${root}checkpoint/`, position))
      return bytes === null ? null : { position, root: Buffer.from(bytes).toString('latin1') }
    },
    saveCheckpoint: async ({ position, root: hash }: Checkpoint) => {
      await objects.create(nameOf(`${root}checkpoint/`, position), Buffer.from(hash))
      await removeOld('checkpoint', await numbers('checkpoint'), CHECKPOINTS)
    },
  }
  return {
    trimming,
    expired: async (after) => {
      const through = await floor()
      if (through <= after) return
      throw new BlobsError('CursorExpired', `the log was trimmed up to position ${through}: ${after} is behind that`)
    },
  }
}
