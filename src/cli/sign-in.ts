import { Args } from '@oclif/core'
import { BlobsError } from '../store/contract/errors.ts'

export const serverArgument = Args.string({
  description: 'URL of the server; default: where bare names are looked up',
  ignoreStdin: true,
})

interface Lookup {
  readonly here: string
  target(text: string): { readonly location: string; readonly bucket: string }
}

/** The server that an argument names, or that is the default; '' for the embedded store. Throws `InvalidRequest` for a bucket or a token. */
export function serverOf(places: Lookup, argument: string | undefined): string {
  if (argument === undefined) return places.here
  if (/^eyJ[\w-]+\./.test(argument)) {
    throw new BlobsError('InvalidRequest', 'a token does not belong into a command line, where others can read it', {
      hint: 'give it by --token-stdin or --token-file · this one was seen by others now: revoke it',
    })
  }
  const target = /^https?:/i.test(argument) ? places.target(argument) : null
  if (target?.bucket === '') return target.location
  throw new BlobsError('InvalidRequest', `${JSON.stringify(argument)} is not the URL of a server`, {
    hint: target === null ? 'write it as https://host:7420' : `write it as ${target.location}`,
  })
}
