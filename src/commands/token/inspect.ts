import { Args } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { localTime, plain } from '../../cli/format.ts'
import { checkTokenId, officeFlags, type ShownToken, stateOf, tokenJson, whereOf } from '../../cli/token-view.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class TokenInspect extends BlobsCommand {
  static override summary = 'Show what a token allows, by its id or by the token itself.'
  static override description = `With an ID, shows its record. Without one, the token that is given (BLOBS_TOKEN, BLOBS_TOKEN_FILE, --token-file, --token-stdin) is checked: whether it is good here, and what it allows. It is never shown.`
  static override usage = 'token inspect [ID] [--data DIR | --server URL]'
  static override examples = [
    {
      description: 'Show the record of a token',
      command: '<%= config.bin %> token inspect 4b2f0c9e8d7a6b5c4d3e2f1a0b9c8d7e',
    },
    {
      description: 'What does the token in this file allow?',
      command: '<%= config.bin %> token inspect --token-file team.token',
    },
  ]
  static override args = {
    id: Args.string({ description: 'id of a token', ignoreStdin: true }),
  }
  static override flags = officeFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenInspect)
    await using places = openPlaces(this.access(flags))
    const id = args.id === undefined ? null : checkTokenId(args.id)
    const given = id === null ? await places.givenToken() : null
    if (id === null && given === null) {
      throw new BlobsError('InvalidRequest', 'neither an ID nor a token is given', {
        hint: 'give the token by --token-stdin, --token-file FILE or BLOBS_TOKEN, or an id: blobs token ls',
      })
    }
    const office = await places.tokens(flags)
    const token: ShownToken | null = given === null ? await office.find(id ?? '') : await office.examine(given)
    if (token === null) {
      throw new BlobsError('NotFound', `no token ${String(id)} is recorded`, { hint: 'see them: blobs token ls --all' })
    }
    const state = stateOf(token, this.clock.now())
    this.output.document({ ...tokenJson(token), state }, lines(token, state))
  }
}

function lines(token: ShownToken, state: string): string {
  const { id, name, can, issued, expires, by, revoked } = token
  const rows: (readonly [string, string])[] = [
    ['id', plain(id)],
    ['state', revoked ? `revoked ${shown(revoked)}` : state],
    ['name', plain(name) || '-'],
    ['where', whereOf(token)],
    ['can', can.join(', ') || 'nothing'],
    ['made', shown(issued)],
    ['expires', expires === null ? 'never' : shown(expires)],
    ...(by ? [['made with', plain(by)] as const] : []),
  ]
  return rows.map(([word, value]) => `${word.padEnd(9)}  ${value}`).join('\n')
}

function shown(time: string | null): string {
  return time === null ? 'it does not say' : localTime(Date.parse(time))
}
