import { Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { serverArgument, serverOf } from '../cli/sign-in.ts'
import { forgetToken } from '../locations/credentials.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { knownServer } from '../locations/servers.ts'
import { systemFileSystem } from '../platform/file-system.ts'
import { BlobsError } from '../store/contract/errors.ts'

export default class Logout extends BlobsCommand {
  static override summary = 'Forget the token that was kept for a server.'
  static override description = `Takes it out of the keychain, or out of the file where it was kept. Elsewhere it goes on being valid, unless --revoke ends it at the server first.`
  static override usage = 'logout [SERVER] [--revoke]'
  static override examples = [
    { description: 'Sign out', command: '<%= config.bin %> logout https://blobs.example:7420' },
    {
      description: 'Sign out, and make sure that nobody uses the token any more',
      command: '<%= config.bin %> logout https://blobs.example:7420 --revoke',
    },
  ]
  static override args = { server: serverArgument }
  static override flags = {
    revoke: Flags.boolean({ description: 'end the token at the server too' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Logout)
    // What is given by hand is not what was kept.
    const { BLOBS_TOKEN: _token, BLOBS_TOKEN_FILE: _file, ...env } = process.env
    await using places = openPlaces({ ...this.access(flags), env })
    const server = serverOf(places, args.server)
    if (server === '') {
      throw new BlobsError('InvalidRequest', 'the embedded store needs no token; which server is meant?', {
        hint: 'name it: blobs logout https://host:7420',
      })
    }
    const revoked = flags.revoke && (await this.revoke(places, server))
    const from = await forgetToken(server, {
      env,
      stateDirectory: places.directories.state,
      fs: systemFileSystem(),
      ids: this.ids,
    })
    const did = revoked ? 'revoked and forgotten' : 'forgotten'
    const text = from === null ? `no token was kept for ${server}` : `the token for ${server} is ${did}`
    this.output.document({ server, removed: from !== null, revoked }, text)
  }

  /** What was joined there has tokens of its own. True if all that are kept have ended. */
  private async revoke(places: Places, server: string): Promise<boolean> {
    const joined = knownServer(places.directories.state, server)?.joined ?? []
    const tokens = new Set<string>()
    for (const bucket of [undefined, ...joined]) {
      const { token, from } = await places.credentials(server, bucket)
      if (token !== undefined && from !== 'profile') tokens.add(token)
    }
    let ended = tokens.size > 0
    for (const token of tokens) {
      const { id } = await places.whoIs(server, token)
      const office = await places.tokens({ server, token })
      ended = (await office.revoke([id], false)).includes(id) && ended
    }
    return ended
  }
}
