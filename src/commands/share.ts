import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import type { CertifiedKey } from '../access/certificate.ts'
import { CODE_LASTS, openInvitations, type Invitations } from '../access/invitations.ts'
import { openSecretSource } from '../access/secrets.ts'
import { openAuditFile } from '../cli/audit-file.ts'
import { duration, localTime, plain } from '../cli/format.ts'
import { tlsCert, tlsKey } from '../cli/flags.ts'
import { namingFlags } from '../cli/naming-flags.ts'
import { programName, shellWord } from '../cli/program-name.ts'
import { qrCode } from '../cli/qr.ts'
import { bucketNameFor } from '../cli/sync/bucket-name.ts'
import { FolderCommand, showPairing, type SyncedFolder } from '../cli/sync/folder-command.ts'
import { parseDuration } from '../cli/values.ts'
import { isAny, isLoopback, ownAddresses } from '../locations/addresses.ts'
import { formatLink } from '../locations/link.ts'
import type { Places } from '../locations/places.ts'
import { storeSpace } from '../locations/space.ts'
import { nameIn, openTls, ownFingerprint, readTls } from '../locations/tls.ts'
import { startServer, type Joined, type RunningServer, type ServerOptions } from '../server/serve.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { pair, readPairing, type Invitation, type SyncEvent } from '../sync/agent.ts'

const USUAL_PORT = 7420
/** More lines than these may have pushed something off the screen. */
const SCREEN = 12

type ShareFlags = {
  readonly host: string
  readonly port?: number | undefined
  readonly 'tls-cert'?: string | undefined
  readonly 'tls-key'?: string | undefined
  readonly 'code-lasts'?: string | undefined
}
/** How others get at this machine's server. */
interface Door {
  readonly tls: CertifiedKey | null
  readonly given: boolean
  readonly host: string
}

export default class Share extends FolderCommand {
  static override summary = 'Share a folder: a server and an agent that keeps the folder in sync, in one.'
  static override description = `Keeps FOLDER and a bucket of this machine's embedded store the same, serves the store, and prints the line that lets one more machine join (see blobs join). The bucket has the folder's name; folder and bucket are made where they are missing. Runs until Ctrl-C.

The code in the link works once, for 10 minutes; it becomes a token for this bucket. For one more machine, run the same command again while it shares.

It listens on this machine alone, where others come in through an ssh tunnel, unless --host names an address. Beyond this machine it speaks TLS, with a certificate of its own whose fingerprint is in the link, or with a given one. Come back with the same --port: machines that joined look for it there.`
  static override usage = 'share FOLDER [--host ADDRESS] [--port PORT] [--tls-cert FILE --tls-key FILE]'
  static override examples = [
    { description: 'Share a folder with the network', command: '<%= config.bin %> share ~/notes --host 0.0.0.0' },
    { description: 'On this machine alone', command: '<%= config.bin %> share ~/notes' },
    {
      description: 'With a certificate that others trust already',
      command: '<%= config.bin %> share ~/notes --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem',
    },
  ]
  static override args = {
    folder: Args.string({ description: 'folder to share', required: true, ignoreStdin: true }),
  }
  static override flags = {
    host: Flags.string({
      description: "address to listen on; 0.0.0.0 for all of this machine's",
      default: '127.0.0.1',
      helpValue: 'ADDRESS',
    }),
    port: Flags.integer({
      description: `port to listen on; 0 takes a free one; by default ${USUAL_PORT}, or one of the next when it is taken`,
      min: 0,
      max: 65_535,
      helpValue: 'PORT',
    }),
    'tls-cert': tlsCert(),
    'tls-key': tlsKey(),
    'code-lasts': Flags.string({ description: 'how long the code works, up to 10m', helpValue: 'SPAN' }),
  }
  static override stream = true
  static override service = true

  private joined = false

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Share)
    const started = this.clock.elapsed()
    await using places = this.places(this.access(flags))
    const folder = await this.sharedFolder(places, args.folder)
    const lasts = lastsOf(flags['code-lasts'])
    const running = await this.runningAgent(places, folder.pairing)
    try {
      const invitation = await running?.invite(lasts).catch(unlessElse)
      if (invitation) return await this.introduceAgain(folder, invitation, flags)
      if (running) this.output.message(`an agent (pid ${running.pid}) keeps ${folder.shown} in sync; this serves it`)
    } finally {
      await running?.close()
    }
    const door = openDoor(flags, places, this.ids)
    const invitations = openInvitations(this.clock)
    const audit = openAuditFile(join(places.directories.data, 'audit.ndjson'), this.output)
    const serverOptions = { ...(await this.serverOptions(places, door, invitations)), audit: audit.write }
    const server = await this.startServer(serverOptions, flags.port)
    const { bucket, prefix } = folder.pairing
    const invite = async (lasts: number): Promise<Invitation> => {
      const { code, expires } = invitations.issue({ bucket, prefix }, lasts)
      return { link: linkTo(door, server.port, bucket, code), expires: new Date(expires).toISOString() }
    }
    try {
      const invitation = await invite(lasts)
      await this.introduce(folder, server, door, invitation)
      if (running) await this.serveAlone(folder, started)
      else await this.keepInSync(places, folder, { invite, invitation }, started)
    } finally {
      await server.close()
      await audit.close()
    }
  }

  private async serverOptions(places: Places, { host, tls }: Door, invitations: Invitations): Promise<ServerOptions> {
    const secretSource = openSecretSource(process.env, places.directories.data, () => this.clock.now())
    return {
      buckets: await places.buckets(''),
      secrets: await secretSource.load(),
      secretSource,
      host,
      ...(tls === null ? {} : { tls }),
      join: { invitations, onJoined: (joined) => this.tellJoined(joined) },
      now: () => this.clock.now(),
      newId: () => this.ids.next(),
      space: () => storeSpace(places.directories.data),
    }
  }

  private tellJoined(joined: Joined): void {
    this.joined = true
    this.output.item('joined', joined)
    if (this.output.json) return
    this.output.message(`${plain(joined.name)} joined from ${joined.address}; its token is ${joined.id}`)
  }

  private async serveAlone(folder: SyncedFolder, started: number): Promise<void> {
    await this.untilStopped()
    const seconds = (this.clock.elapsed() - started) / 1000
    this.output.summary({ root: folder.root, seconds: Math.round(seconds) }, `stopped after ${duration(seconds)}`)
  }

  private async keepInSync(
    places: Places,
    folder: SyncedFolder,
    { invite, invitation }: { invite: (lasts: number) => Promise<Invitation>; invitation: Invitation },
    started: number,
  ): Promise<void> {
    const agent = await this.takeFolder(places, folder, { onEvent: this.teller(folder, invitation), invite })
    try {
      this.tellSummary(folder, await agent.watch(this.signal), started, 0)
    } finally {
      await agent.close()
    }
  }

  /** What the first sync tells may push the line off the screen: then it is shown once more. */
  private teller(folder: SyncedFolder, invitation: Invitation): (event: SyncEvent) => void {
    let lines = 0
    return (event) => {
      this.tellEvent(event)
      if (event.type === 'state' && event.state === 'idle' && lines !== Number.POSITIVE_INFINITY) {
        const gone = lines > SCREEN && process.stdout.isTTY && !this.output.json && !this.joined
        lines = Number.POSITIVE_INFINITY
        if (gone && this.clock.now() < Date.parse(invitation.expires)) void this.invite(folder, invitation)
      }
      lines += 1
    }
  }

  private async sharedFolder(places: Places, path: string): Promise<SyncedFolder> {
    const root = resolve(path)
    const shown = plain(path)
    const known = readPairing(this.fs, root)
    if (known && known.location !== '') {
      throw new BlobsError('Refused', `${shown} is in sync with ${showPairing(known)}, which another server holds`, {
        hint: `keep it so: blobs sync ${shown} --watch · or share another folder`,
      })
    }
    if (!known) this.checkRoot(root, shown)
    this.makeFolder(root, shown)
    const bucket = known?.bucket ?? bucketNameFor(basename(root))
    await this.openOrMake(places, { location: '', bucket })
    const to = { location: '', bucket, prefix: known?.prefix ?? '' }
    return { root, shown, pairing: await pair(root, to, { fs: this.fs, clock: this.clock, ids: this.ids }) }
  }

  private async startServer(options: ServerOptions, port: number | undefined): Promise<RunningServer> {
    try {
      return await startServer({ ...options, port: port ?? USUAL_PORT })
    } catch (error) {
      if (port !== undefined || !isBlobsError(error, 'Unavailable')) return namingFlags(error)
      const server = await startNear(options)
      this.output.message(`port ${USUAL_PORT} is taken; this took ${server.port} (--port chooses one)`)
      return server
    }
  }

  private async introduce(
    folder: SyncedFolder,
    server: RunningServer,
    door: Door,
    invitation: Invitation,
  ): Promise<void> {
    const { root, shown, pairing } = folder
    const { url, port } = server
    this.output.item('listening', { url, port, root, bucket: pairing.bucket, pid: process.pid })
    this.output.message(
      `sharing ${shown} as the bucket ${pairing.bucket} at ${new URL(invitation.link).origin}; Ctrl-C stops`,
    )
    if (isLoopback(door.host)) {
      this.output.message(
        `only this machine can join: for another one, share with --host 0.0.0.0, or run there first: ssh -N -L ${port}:127.0.0.1:${port} ${hostname()}`,
      )
    }
    await this.invite(folder, invitation)
  }

  private async introduceAgain(folder: SyncedFolder, invitation: Invitation, flags: ShareFlags): Promise<void> {
    const unused = (['port', 'tls-cert', 'tls-key'] as const).filter((name) => flags[name] !== undefined)
    this.output.message(`${folder.shown} is shared already; this is a link for one more machine`)
    if (unused.length > 0) this.output.message(`it goes by its own --${unused.join(' and --')}`)
    await this.invite(folder, invitation)
    this.output.summary({ root: folder.root, bucket: folder.pairing.bucket, exitCode: 0 })
  }

  /** The line to run on the other machine, alone on stdout. */
  private async invite({ root }: SyncedFolder, { link, expires }: Invitation): Promise<void> {
    const line = `${programName()} join '${link}' ${shellWord(basename(root))}`
    const until = localTime(Date.parse(expires)).slice(-5)
    this.output.message(`to join, run this on the other machine; it works once, until ${until}:\n`)
    this.output.item('invitation', { link, expires, line }, line)
    this.output.message('')
    if (!process.stderr.isTTY || this.output.json) return
    const code = await qrCode(link, process.stderr.columns)
    if (code !== null) this.output.message(`${code}\n`)
  }
}

/** The next port that is free: the same after a new start, if what took the usual one is the same. */
async function startNear(options: ServerOptions): Promise<RunningServer> {
  for (let port = USUAL_PORT + 1; port < USUAL_PORT + 10; port++) {
    try {
      return await startServer({ ...options, port })
    } catch (error) {
      if (!isBlobsError(error, 'Unavailable')) throw error
    }
  }
  return startServer({ ...options, port: 0 })
}

function unlessElse(error: unknown): null {
  if (isBlobsError(error, 'NotSupported')) return null
  throw error
}

function lastsOf(span: string | undefined): number {
  if (span === undefined) return CODE_LASTS
  const lasts = parseDuration(span)
  if (lasts <= CODE_LASTS) return lasts
  throw new BlobsError('InvalidRequest', `--code-lasts: ${plain(span)} is longer than a code may work`, {
    hint: 'it is 10m at most; the same command again makes another code',
  })
}

function openDoor(flags: ShareFlags, places: Places, ids: Parameters<typeof openTls>[2]): Door {
  const { host } = flags
  const [cert, key] = [flags['tls-cert'], flags['tls-key']]
  if (cert !== undefined && key !== undefined) return { host, tls: readTls(cert, key), given: true }
  if (isLoopback(host)) return { host, tls: null, given: false }
  return { host, tls: openTls(places.directories.data, ['localhost', hostname()], ids), given: false }
}

function linkTo({ tls, given, host }: Door, port: number, bucket: string, code: string): string {
  const fingerprint = tls === null ? null : ownFingerprint(tls)
  // Where authorities vouch for the certificate, they do so for a name.
  const named = tls !== null && given && fingerprint === null ? nameIn(tls) : null
  const reached = isAny(host) ? (ownAddresses()[0] ?? hostname()) : host
  const address = named ?? (reached.includes(':') ? `[${reached}]` : reached)
  const origin = new URL(`${tls === null ? 'http' : 'https'}://${address}:${port}`).origin
  return formatLink({ origin, bucket, code, fingerprint })
}
