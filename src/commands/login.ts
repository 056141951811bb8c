import { Flags } from '@oclif/core'
import { askSecret } from '../cli/ask-secret.ts'
import { BlobsCommand } from '../cli/command.ts'
import { plain } from '../cli/format.ts'
import { serverArgument, serverOf } from '../cli/sign-in.ts'
import { spanOf, tokenJson, whereOf } from '../cli/token-view.ts'
import { keepToken } from '../locations/credentials.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { knownServer } from '../locations/servers.ts'
import { checkToken } from '../locations/token.ts'
import { systemFileSystem } from '../platform/file-system.ts'
import { BlobsError } from '../store/contract/errors.ts'

export default class Login extends BlobsCommand {
  static override summary = "Keep a token for a server in this machine's keychain."
  static override description = `Asks for the token, without showing it, or takes it from --token-stdin or --token-file; the server says whether it is good. From then on every command uses it for exactly this server, and for no other. A token that is given to a command by hand goes before it.

Where there is no keychain, or it is locked or does not answer, this fails within 5 seconds and names the ways out. One of them is --insecure-storage: the token then lies unencrypted in a file that only you may read. That is remembered for this server, also for later logins, until logout; whoami says so.`
  static override usage = 'login [SERVER] [--insecure-storage]'
  static override examples = [
    { description: 'Sign in; the token is asked for', command: '<%= config.bin %> login https://blobs.example:7420' },
    {
      description: 'In a script',
      command: '<%= config.bin %> login https://blobs.example:7420 --token-file team.token',
    },
  ]
  static override args = { server: serverArgument }
  static override flags = {
    'insecure-storage': Flags.boolean({ description: 'keep the token unencrypted in a file, not in the keychain' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Login)
    await using places = openPlaces(this.access(flags))
    const server = serverOf(places, args.server)
    if (server === '') {
      throw new BlobsError('InvalidRequest', 'the embedded store needs no token; which server is meant?', {
        hint: 'name it: blobs login https://host:7420',
      })
    }
    const given = flags['token-stdin'] || flags['token-file'] !== undefined
    const token = given ? ((await places.givenToken()) ?? '') : await this.ask(server)
    const own = await places.whoIs(server, token)
    const { state: stateDirectory } = places.directories
    const known = knownServer(stateDirectory, server) ?? { origin: server }
    const keptIn = await keepToken(known, token, flags['insecure-storage'], {
      env: process.env,
      stateDirectory,
      fs: systemFileSystem(),
      ids: this.ids,
    })
    const insecure = keptIn === 'file'
    const who = own.name === '' ? 'signed in' : `signed in as ${plain(own.name)}`
    const where = insecure ? 'unencrypted in a file' : 'in the keychain'
    this.output.document(
      { server, keptIn, insecure, ...tokenJson(own) },
      `${who} at ${server}: ${own.can.join(', ')} in ${whereOf(own)}, ${spanOf(own)}; the token is ${where}`,
    )
    this.advise(places, server)
  }

  private async ask(server: string): Promise<string> {
    if (!process.stdin.isTTY || this.output.json) {
      throw new BlobsError('InvalidRequest', 'there is no terminal to ask for the token at', {
        hint: 'give it by --token-stdin or --token-file FILE',
      })
    }
    return checkToken(await askSecret(`token for ${server}: `, this.signal), 'this line')
  }

  private advise(places: Places, server: string): void {
    const given = ['BLOBS_TOKEN', 'BLOBS_TOKEN_FILE'].find((name) => process.env[name])
    if (given !== undefined) this.output.message(`${given} is set, and goes before it`)
    if (new URL(server).protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(new URL(server).hostname)) {
      this.output.message('without TLS (https) whoever is on the way can read the token')
    }
    if (places.here !== server) this.output.message(`for bare names too: blobs config set server ${server}`)
  }
}
