import { Flags } from '@oclif/core'
import { parseRate } from './values.ts'

/** `--limit-rate`, in bytes a second. */
export const limitRate = Flags.custom<number>({
  description: 'move at most this many bytes a second, each way',
  helpValue: 'RATE',
  parse: async (text) => parseRate(text),
})
