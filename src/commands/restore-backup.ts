import { Args, Flags } from '@oclif/core'
import { BackupCommand, backupFlags } from '../cli/transfer/backup-command.ts'
import { localTime } from '../cli/format.ts'
import { parseMoment } from '../cli/values.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { restoreBackup, type RestoreDone } from '../transfer/restore-backup.ts'

export default class RestoreBackup extends BackupCommand {
  static override summary = 'Make a bucket of a backup.'
  static override description = `The bucket is made anew, with its whole history and its options. Agents that were linked to the bucket before notice that, and link their folders anew: nothing is deleted on either side, and what they have that the backup lacks is uploaded again. Until everything is there nobody can read the bucket or write into it. Killed before that, the same command goes on.

A bucket that is there and holds something is left alone, unless --replace gives it up with its history. Then everything is brought to its side first, into BUCKET.restoring; so there must be room for both.

--at: as it was at a time, as RFC 3339 (2026-07-28T14:00:00Z), local "2026-07-28 14:00", or an age: 2h, 3d.

Of a place without a bucket all backups in it are restored.`
  static override usage = 'restore-backup BACKUP BUCKET [--at TIME] [--replace] [--skip-damaged] [--dry-run]'
  static override examples = [
    { description: 'Bring a bucket back', command: '<%= config.bin %> restore-backup s3://my-backups/team team' },
    {
      description: 'Look at how it was two days ago, beside how it is',
      command: '<%= config.bin %> restore-backup s3://my-backups/team team-then --at 2d',
    },
  ]
  static override args = {
    backup: Args.string({ description: 'backup, or a place with all of its own', required: true, ignoreStdin: true }),
    bucket: Args.string({ description: 'bucket to make of it, or a place for it', required: true, ignoreStdin: true }),
  }
  static override flags = {
    at: Flags.string({ description: 'leave out what was written later', helpValue: 'TIME' }),
    replace: Flags.boolean({ description: 'give up the bucket that is there, with its history' }),
    ...backupFlags,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(RestoreBackup)
    const moment = flags.at === undefined ? null : parseMoment(flags.at)
    let until: number | undefined
    await this.copyBuckets<RestoreDone>({
      source: args.backup,
      target: args.bucket,
      flags,
      access: this.access(flags),
      verb: 'restore-backup',
      picks: ({ options: { copyOf } }) => copyOf !== undefined && copyOf.restoring === undefined,
      act: async (task, places) => {
        const { location } = places.target(args.backup)
        if (moment !== null) until ??= Date.parse(moment(await places.timeAt(location)))
        return restoreBackup({ ...task, until, replace: flags.replace === true, ids: this.ids })
      },
      tell: (done) => this.tellRestored(done, until),
    })
  }

  private tellRestored({ from, replaced, lost }: RestoreDone, until: number | undefined): ReturnType<Tell> {
    const { at } = from.options.copyOf ?? {}
    if (at === undefined) {
      this.output.message(
        `warning: the backup ${from.name} was never finished: it ends somewhere before the end of the bucket`,
      )
    }
    for (const { key } of lost) {
      const error = new BlobsError('NotFound', `the backup does not have the bytes of ${key}: it is deleted`, {
        key,
        hint: 'put it again, if you have it elsewhere',
      })
      this.fail(key, error)
    }
    const as = until === undefined ? at : new Date(until).toISOString()
    const words = `${as === undefined ? '' : `, as of ${localTime(Date.parse(as))}`}${replaced === null ? '' : '; what was there before is gone'}`
    return { fields: { asOf: as ?? null, replaced: replaced !== null, lost: lost.map(({ key }) => key) }, words }
  }
}

type Tell = (done: RestoreDone) => { readonly fields: object; readonly words: string }
