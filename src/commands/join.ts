import { resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { plain } from '../cli/format.ts'
import { showPairing, type SyncedFolder } from '../cli/sync/folder-command.ts'
import { SyncingCommand } from '../cli/sync/syncing-command.ts'
import { joinServer } from '../locations/join.ts'
import { parseLink, type Link } from '../locations/link.ts'
import type { Places } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { pair, readPairing } from '../sync/agent.ts'

export default class Join extends SyncingCommand {
  static override summary = 'Join a folder that another machine shares.'
  static override description = `LINK is what "blobs share" prints there; put it in quotes. Its code works once and becomes a token for that bucket, which this machine keeps in its keychain for that bucket (without one: --insecure-storage), and the server's certificate with it: from then on no other certificate is taken for it. Then FOLDER is made where it is missing, and synced once, or with --watch until it is stopped. Later, "blobs sync FOLDER" is enough.

The code is not sent before the server has shown the certificate of the link. Files that are in FOLDER already stay; what both sides have under one name with other bytes is kept both (see blobs conflicts).`
  static override usage = 'join LINK FOLDER [--watch] [--insecure-storage]'
  static override examples = [
    {
      description: 'Join, and get everything',
      command: "<%= config.bin %> join 'https://192.168.1.5:7420/notes#Zk3nYw0q0u9yqvVjJpX0Bg.JdDmEX8v78Nk…' ~/notes",
    },
    {
      description: 'Join, and stay in sync until Ctrl-C',
      command: "<%= config.bin %> join 'https://192.168.1.5:7420/notes#Zk3n…' ~/notes --watch",
    },
  ]
  static override args = {
    link: Args.string({ description: 'what blobs share printed', required: true, ignoreStdin: true }),
    folder: Args.string({ description: 'folder to sync; made where it is missing', required: true, ignoreStdin: true }),
  }
  static override flags = {
    watch: Flags.boolean({ char: 'w', description: 'go on until stopped' }),
    'insecure-storage': Flags.boolean({ description: 'keep the token unencrypted in a file, not in the keychain' }),
  }
  static override stream = true
  static override service = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Join)
    const started = this.clock.elapsed()
    const link = parseLink(args.link)
    const root = resolve(args.folder)
    const shown = plain(args.folder)
    this.checkFolder(root, shown, link)
    // A token of the environment is for another server: this one gives its own.
    const { BLOBS_TOKEN: _token, BLOBS_TOKEN_FILE: _file, ...env } = process.env
    const { profile, 'ca-cert': caCert } = flags
    await using places = this.places({ ...this.access({ profile, 'ca-cert': caCert }), env })
    const { bucket, prefix, keptIn } = await joinServer(link, {
      stateDirectory: places.directories.state,
      name: places.device().name,
      ...(caCert === undefined ? {} : { caCert }),
      insecure: flags['insecure-storage'],
      env,
      fs: this.fs,
      ids: this.ids,
    })
    const to = { location: link.origin, bucket, prefix }
    this.output.item('joined', { ...to, keptIn })
    const where = keptIn === 'keychain' ? 'in the keychain' : 'unencrypted in a file that only you may read'
    this.output.message(`joined ${showTarget(to)}; the token is kept ${where}`)
    await this.syncJoined(places, { root, shown, to }, flags.watch, started)
  }

  private async syncJoined(
    places: Places,
    { root, shown, to }: { root: string; shown: string; to: Parameters<typeof pair>[1] },
    watch: boolean,
    started: number,
  ): Promise<void> {
    this.makeFolder(root, shown)
    const pairing = await pair(root, to, { fs: this.fs, clock: this.clock, ids: this.ids })
    const folder: SyncedFolder = { root, shown, pairing }
    const running = await this.runningAgent(places, pairing)
    if (running) {
      try {
        this.output.message(`an agent (pid ${running.pid}) keeps this folder in sync; waiting for it`)
        return this.present(folder, await running.wait(), started)
      } finally {
        await running.close()
      }
    }
    await this.syncHere(places, folder, watch ? 'watch' : 'once', started)
    if (!watch)
      this.output.message(
        `→ stay in sync: blobs agent start ${shown} · or in this terminal: blobs sync ${shown} --watch`,
      )
  }

  /** Throws before the code is spent what would throw after it. */
  private checkFolder(root: string, shown: string, { origin, bucket }: Link): void {
    const known = readPairing(this.fs, root)
    if (known === null) return this.checkRoot(root, shown)
    if (known.location === origin && known.bucket === bucket) return
    throw new BlobsError('Refused', `${shown} is paired with ${showPairing(known)} already`, {
      hint: `sync it as it is: blobs sync ${shown} · or join with another folder`,
    })
  }
}
