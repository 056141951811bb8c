import { Args } from '@oclif/core'
import { BackupCommand, backupFlags } from '../cli/transfer/backup-command.ts'
import { backUp } from '../transfer/backup.ts'

export default class Backup extends BackupCommand {
  static override summary = 'Back up a bucket, with its whole history, to any other place.'
  static override description = `The backup is a bucket, too: blobs ls, get --version and history work on it. It has every version with its number, time and author, every deletion and the bucket's options, as they were at one moment, while the bucket is in use. Nobody else can write into it.

The next backup to the same place brings what is new since, from any machine: no bytes travel that are there already. All that travel are compared with their hashes. Killed at any moment, the backup is whole up to some moment, and the next one goes on from there.

A backup keeps what it has: versions that the bucket lets go later stay in it, until it is told otherwise (blobs bucket set BACKUP --keep-for 1y). To bring a bucket back: blobs restore-backup.

Of a place without a bucket all buckets are backed up, but for backups. On a server the destination needs a token that may administer it.`
  static override usage = 'backup BUCKET DESTINATION [--skip-damaged] [--dry-run]'
  static override examples = [
    { description: 'Back up to S3, each night', command: '<%= config.bin %> backup team s3://my-backups/team' },
    {
      description: "Back up a server's bucket to a disk",
      command: '<%= config.bin %> backup https://blobs.example:7420/team folder:///mnt/disk//team',
    },
    {
      description: 'Back up all buckets of a server',
      command: '<%= config.bin %> backup https://blobs.example:7420 folder:///mnt/disk',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'bucket, or a place with all of its own', required: true, ignoreStdin: true }),
    destination: Args.string({
      description: 'bucket that becomes the backup, or a place for it',
      required: true,
      ignoreStdin: true,
    }),
  }
  static override flags = backupFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Backup)
    await this.copyBuckets({
      source: args.bucket,
      target: args.destination,
      flags,
      access: this.access(flags),
      verb: 'backup',
      picks: ({ options }) => options.copyOf === undefined,
      act: backUp,
      tell: () => ({ fields: {}, words: '' }),
    })
  }
}
