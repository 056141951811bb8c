import { Flags } from '@oclif/core'
import { parseRate } from './values.ts'

/** `--limit-rate`, in bytes a second. */
export const limitRate = Flags.custom<number>({
  description: 'move at most this many bytes a second, each way',
  helpValue: 'RATE',
  parse: async (text) => parseRate(text),
})

/** `--max-delete`, as `AgentOptions` takes it when parsed. */
export const maxDelete = Flags.custom<string>({
  description: 'stop and ask when more would be deleted on one side: 100, or 25%',
  helpValue: 'N|P%',
})

/** `--exclude`, many. */
export const exclude = Flags.custom<string>({
  description: 'leave alone what matches, on this machine; may be repeated',
  helpValue: 'PATTERN',
  multipleNonGreedy: true,
})

/** `--tls-cert`, with `--tls-key` only. */
export const tlsCert = Flags.custom<string>({
  description: 'PEM file of the certificate',
  helpValue: 'FILE',
  dependsOn: ['tls-key'],
})

/** `--tls-key`, with `--tls-cert` only. */
export const tlsKey = Flags.custom<string>({
  description: "PEM file of the certificate's key",
  helpValue: 'FILE',
  dependsOn: ['tls-cert'],
})
