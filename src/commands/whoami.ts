import { BlobsCommand } from '../cli/command.ts'
import { plain } from '../cli/format.ts'
import { serverArgument, serverOf } from '../cli/sign-in.ts'
import { spanOf, tokenJson, whereOf } from '../cli/token-view.ts'
import type { TokenOrigin } from '../locations/credentials.ts'
import { openPlaces } from '../locations/places.ts'
import type { OwnToken } from '../locations/tokens.ts'
import { BlobsError } from '../store/contract/errors.ts'

const FROM: Readonly<Record<TokenOrigin, string>> = {
  '--token-stdin': 'from stdin',
  '--token-file': 'from --token-file',
  BLOBS_TOKEN: 'from BLOBS_TOKEN',
  BLOBS_TOKEN_FILE: 'from the file that BLOBS_TOKEN_FILE names',
  profile: "from the profile's token-file",
  file: 'unencrypted in a file of yours (--insecure-storage)',
  keychain: 'from the keychain',
}

export default class Whoami extends BlobsCommand {
  static override summary = 'Show as whom commands speak to a server, and where that token comes from.'
  static override description = `Asks the server what the token allows. The token itself is not shown.`
  static override usage = 'whoami [SERVER]'
  static override examples = [
    { description: 'Who am I there?', command: '<%= config.bin %> whoami https://blobs.example:7420' },
  ]
  static override args = { server: serverArgument }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Whoami)
    await using places = openPlaces(this.access(flags))
    const server = serverOf(places, args.server)
    if (server === '') {
      const text = `you use the embedded store in ${plain(places.directories.data)}, which needs no token`
      return this.output.document({ server: null, data: places.directories.data }, text)
    }
    const { token, from } = await places.credentials(server)
    if (token === undefined || from === undefined) {
      throw new BlobsError('Unauthenticated', `you are not signed in to ${server}`)
    }
    const own = await places.whoIs(server, token)
    const insecure = from === 'file'
    this.output.document({ server, from, insecure, ...tokenJson(own) }, lines(server, from, own))
  }
}

function lines(server: string, from: TokenOrigin, own: OwnToken): string {
  const rows = [
    ['name', plain(own.name) || '-'],
    ['id', plain(own.id)],
    ['may', `${own.can.join(', ') || 'nothing'} in ${whereOf(own)}`],
    ['until', spanOf(own).replace('until ', '')],
    ['token', FROM[from]],
  ] as const
  return [server, ...rows.map(([word, value]) => `  ${word.padEnd(5)}  ${value}`)].join('\n')
}
