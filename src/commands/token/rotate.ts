import { Flags } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { localTime } from '../../cli/format.ts'
import { officeFlags } from '../../cli/token-view.ts'
import { parseDuration } from '../../cli/values.ts'
import { openPlaces } from '../../locations/places.ts'

export default class TokenRotate extends BlobsCommand {
  static override summary = 'Change the secret that tokens are signed with, and keep the old one valid for a while.'
  static override description = `New tokens are signed with the new secret at once. Those that there are go on until --keep is over: replace them by then. A running server notices by itself. --keep 0s ends all tokens that were ever made, now.

For the secret in a data directory. One that comes from TOKEN_SECRET is changed where it is set: give the server the old one as TOKEN_SECRET_PREVIOUS and a new one as TOKEN_SECRET.`
  static override usage = 'token rotate [--keep SPAN] [--data DIR | --server URL]'
  static override examples = [
    { description: 'Change the secret; old tokens last a week more', command: '<%= config.bin %> token rotate' },
    { description: 'The secret was stolen: end every token', command: '<%= config.bin %> token rotate --keep 0s' },
  ]
  static override flags = {
    keep: Flags.string({
      description: 'how long tokens of the old secret are taken: 0s, 12h, 30d',
      helpValue: 'SPAN',
      default: '7d',
    }),
    ...officeFlags,
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(TokenRotate)
    const keep = /^0+[a-z]*$/.test(flags.keep.trim()) ? 0 : parseDuration(flags.keep)
    await using places = openPlaces(this.access(flags))
    const office = await places.tokens(flags)
    await office.rotate(keep)
    const until = this.clock.now() + keep
    const text =
      keep === 0
        ? 'there is a new secret; no older token is taken any more'
        : `there is a new secret; older tokens are taken until ${localTime(until)}: replace them by then`
    this.output.document({ keep: keep / 1000, until: new Date(until).toISOString() }, text)
  }
}
