import { isHash } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Checkpoint, Trimming } from '../../store/ports.ts'
import { API, apiCodeOf } from './failures.ts'
import type { StreamState } from './answers.ts'
import type { JetStream } from './jetstream.ts'
import type { BucketNames } from './names.ts'

export interface TrimmingOptions {
  readonly js: JetStream
  readonly names: BucketNames
  readonly present: () => Promise<void>
  readonly state: () => Promise<StreamState>
}

/** The floor is where the stream begins, which the server moves in one step; the checkpoint is one message beside the chunks. */
export function openTrimming({ js, names, present, state }: TrimmingOptions): Trimming {
  const newest = async (): Promise<{ readonly sequence: number; readonly checkpoint: Checkpoint | null }> => {
    const message = await js.getLatest(names.chunks, { last_by_subj: names.checkpoint })
    return message === null
      ? { sequence: 0, checkpoint: null }
      : { sequence: message.sequence, checkpoint: decode(message.data) }
  }
  return {
    floor: async () => (await state()).first - 1,
    trim: async ({ through }) => {
      const { first, last } = await state()
      const end = Math.min(through, last)
      if (end >= first) await js.purge(names.log, { seq: end + 1 })
    },
    checkpoint: async () => (await newest()).checkpoint,
    saveCheckpoint: async ({ position, root }) => {
      for (;;) {
        const { sequence, checkpoint } = await newest()
        if (checkpoint !== null && checkpoint.position >= position) return
        try {
          await js.publish(
            {
              stream: names.chunks,
              subject: names.checkpoint,
              data: JSON.stringify({ position, root }),
              headers: { 'Nats-Expected-Last-Subject-Sequence': String(sequence) },
            },
            present,
          )
          return
        } catch (error) {
          // Another saved one meanwhile, or this one was stored and its answer lost: look again.
          if (apiCodeOf(error) !== API.wrongLastSequence && apiCodeOf(error) !== API.wrongLastSequenceUntold)
            throw error
        }
      }
    },
  }
}

function decode(data: Uint8Array): Checkpoint {
  const { position, root } = JSON.parse(Buffer.from(data).toString('utf8')) as Checkpoint
  if (Number.isSafeInteger(position) && isHash(root)) return { position, root }
  throw new BlobsError('Corrupt', 'the checkpoint of the log cannot be read')
}
