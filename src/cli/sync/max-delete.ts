import { BlobsError } from '../../store/contract/errors.ts'
import type { MaxDelete } from '../../sync/agent.ts'

/** `100` deletes, or `25%` of what is in sync. Throws `InvalidRequest`. */
export function parseMaxDelete(text: string): MaxDelete {
  const [, number = '', percent] = /^(\d{1,9})(%?)$/.exec(text.trim()) ?? []
  if (number !== '' && percent === '') return { count: Number(number) }
  if (number !== '' && Number(number) <= 100) return { percent: Number(number) }
  throw new BlobsError('InvalidRequest', `${JSON.stringify(text)} is neither a number of files nor a share of them`, {
    hint: 'write it as 100 or 25%',
  })
}
