import { hostname } from 'node:os'
import { basename, relative, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { plain } from '../cli/format.ts'
import { namingFlags } from '../cli/naming-flags.ts'
import { bucketNameFor } from '../cli/sync/bucket-name.ts'
import { FolderCommand, showPairing, type SyncedFolder } from '../cli/sync/folder-command.ts'
import type { Places } from '../locations/places.ts'
import { openSecrets } from '../locations/secrets.ts'
import { readTls } from '../locations/tls.ts'
import { startServer, type RunningServer, type ServerOptions } from '../server/serve.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { pair, readPairing } from '../sync/agent.ts'

const USUAL_PORT = 7420

export default class Share extends FolderCommand {
  static override summary = 'Serve a folder: a server and an agent that keeps the folder in sync, in one.'
  static override description = `Keeps FOLDER and a bucket of this machine's embedded store the same, and serves the store, so that other machines can sync with the same bucket. Prints the address and what to run on the other machine. The bucket has the folder's name; folder and bucket are made where they are missing. Runs until Ctrl-C.

It listens on this machine alone: others come in through an ssh tunnel, or directly when --host is given with a TLS certificate. Each needs a token (blobs token create); none is printed here.`
  static override usage = 'share FOLDER [--port PORT] [--host ADDRESS --tls-cert FILE --tls-key FILE]'
  static override examples = [
    { description: 'Share a folder', command: '<%= config.bin %> share ~/notes' },
    {
      description: 'Share it with the network',
      command: '<%= config.bin %> share ~/notes --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem',
    },
  ]
  static override args = {
    folder: Args.string({ description: 'folder to share', required: true, ignoreStdin: true }),
  }
  static override flags = {
    host: Flags.string({ description: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    port: Flags.integer({
      description: `port to listen on; 0 takes a free one; by default ${USUAL_PORT}, or a free one when it is taken`,
      min: 0,
      max: 65_535,
      helpValue: 'PORT',
    }),
    'tls-cert': Flags.string({ description: 'PEM file of the certificate', helpValue: 'FILE', dependsOn: ['tls-key'] }),
    'tls-key': Flags.string({
      description: "PEM file of the certificate's key",
      helpValue: 'FILE',
      dependsOn: ['tls-cert'],
    }),
  }
  static override stream = true
  static override service = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Share)
    const started = this.clock.elapsed()
    await using places = this.places(this.access(flags))
    const folder = await this.sharedFolder(places, args.folder)
    const agent = await this.takeFolder(places, folder, { onEvent: (event) => this.tellEvent(event) })
    try {
      const server = await this.startServer(await this.serverOptions(places, flags), flags.port)
      try {
        this.introduce(folder, server, flags.host)
        this.tellSummary(folder, await agent.watch(this.signal), started, 0)
      } finally {
        await server.close()
      }
    } finally {
      await agent.close()
    }
  }

  private async sharedFolder(places: Places, path: string): Promise<SyncedFolder> {
    const root = resolve(path)
    const shown = plain(path)
    this.makeFolder(root, shown)
    const known = readPairing(this.fs, root)
    if (known && known.location !== '') {
      throw new BlobsError('Refused', `${shown} is in sync with ${showPairing(known)}, which another server holds`, {
        hint: `keep it so: blobs sync ${shown} --watch · or share another folder`,
      })
    }
    const bucket = known?.bucket ?? bucketNameFor(basename(root))
    await this.openOrMake(places, { location: '', bucket })
    const to = { location: '', bucket, prefix: known?.prefix ?? '' }
    return { root, shown, pairing: await pair(root, to, { fs: this.fs, clock: this.clock, ids: this.ids }) }
  }

  private async serverOptions(
    places: Places,
    flags: { host: string; 'tls-cert'?: string | undefined; 'tls-key'?: string | undefined },
  ): Promise<ServerOptions> {
    const [cert, key] = [flags['tls-cert'], flags['tls-key']]
    return {
      buckets: await places.buckets(''),
      secrets: await openSecrets(process.env, places.directories.data),
      host: flags.host,
      ...(cert === undefined || key === undefined ? {} : { tls: readTls(cert, key) }),
      now: () => this.clock.now(),
      newId: () => this.ids.next(),
    }
  }

  private async startServer(options: ServerOptions, port: number | undefined): Promise<RunningServer> {
    try {
      return await startServer({ ...options, port: port ?? USUAL_PORT })
    } catch (error) {
      if (port !== undefined || !isBlobsError(error, 'Unavailable')) return namingFlags(error)
      const server = await startServer({ ...options, port: 0 })
      this.output.message(`port ${USUAL_PORT} is taken; this took ${server.port} (--port chooses one)`)
      return server
    }
  }

  private introduce({ root, shown, pairing }: SyncedFolder, server: RunningServer, host: string): void {
    const { url, port } = server
    const { bucket } = pairing
    this.output.item(
      'listening',
      { url, port, root, bucket, pid: process.pid },
      `sharing ${shown} as the bucket ${bucket} at ${url}`,
    )
    const program = programName()
    const local = host === '127.0.0.1' || host === 'localhost'
    const remote = local ? `http://127.0.0.1:${port}` : `https://${hostname()}:${port}`
    const steps = [
      `here:   ${program} token create ${bucket} > ${bucket}.token    (hand the file on like a password)`,
      ...(local
        ? [`there:  ssh -N -L ${port}:127.0.0.1:${port} ${hostname()}    (or share with --host and a TLS certificate)`]
        : []),
      `there:  BLOBS_TOKEN_FILE=${bucket}.token blobs sync FOLDER ${remote}/${bucket} --watch`,
    ]
    this.output.message(
      `\nto join from a second machine\n${steps.map((step, i) => `  ${i + 1}  ${step}`).join('\n')}\n\nCtrl-C stops`,
    )
  }
}

/** How to run this program again: by its name when it is installed, else the file. */
function programName(): string {
  const script = process.argv[1] ?? 'blobs'
  return basename(script) === 'run.js' ? `node ${relative(process.cwd(), script) || script}` : 'blobs'
}
