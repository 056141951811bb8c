import { join, resolve } from 'node:path'
import { Flags } from '@oclif/core'
import { openSecretSource } from '../access/secrets.ts'
import { openAuditFile } from '../cli/audit-file.ts'
import { BlobsCommand } from '../cli/command.ts'
import { checkFaces, parseFace } from '../cli/face.ts'
import { duration, plain } from '../cli/format.ts'
import { linesToStderr } from '../cli/log-lines.ts'
import { tlsCert, tlsKey } from '../cli/flags.ts'
import { namingFlags } from '../cli/naming-flags.ts'
import { openBuckets } from '../locations/open.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { storeSpace } from '../locations/space.ts'
import { isServer, parseLocation } from '../locations/target.ts'
import { readTls } from '../locations/tls.ts'
import { makePrivate } from '../platform/directories.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
import { parseDuration } from '../cli/values.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { startServer, type ServerOptions } from '../server/serve.ts'

/** Milliseconds. */
const STALE_READS = 600_000
const LONGEST_DRAIN = 15_000

export default class Serve extends BlobsCommand {
  static override summary = 'Serve the embedded store to other machines and programs.'
  static override description = `Runs until it is told to stop (Ctrl-C, SIGTERM); then it finishes what it has in hand. The command line and agents of this machine may use the same store meanwhile.

Every request needs a token (blobs token create). The secret they are signed with is TOKEN_SECRET, or the file "secret" in the data directory, made on the first start.

Beyond this machine it serves with TLS only: give --host together with --tls-cert and --tls-key. With --backend the buckets are in that place (docs/backends.md), which several servers may share; the secret and the audit log stay in the data directory. Servers that share one need the same TOKEN_SECRET.

The log, one JSON object a line, goes to stderr when that is not a terminal, or with --log. The audit log tells who did what: token, address, action, bucket, key, version, result; it is a file of its own.`
  static override usage =
    'serve [--data DIR] [--backend LOCATION] [--port PORT] [--host ADDRESS --tls-cert FILE --tls-key FILE]'
  static override examples = [
    { description: 'Serve on this machine', command: '<%= config.bin %> serve' },
    {
      description: 'Serve apps of other servers, too, on this machine',
      command: '<%= config.bin %> serve --face containers --face changelog=records --face addresses=media',
    },
    {
      description: 'Serve to the network',
      command: '<%= config.bin %> serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --data /srv/blobs',
    },
    {
      description: 'Serve a directory that other machines use, too, by a server of their own',
      command: '<%= config.bin %> serve --backend folder:///mnt/share',
    },
    { description: 'Take a free port and tell it to a script', command: '<%= config.bin %> serve --port 0 --json' },
  ]
  static override flags = {
    data: Flags.string({
      description: 'directory of the store; default: that of the command line',
      helpValue: 'DIR',
      env: 'BLOBS_DATA',
    }),
    backend: Flags.string({
      description: 'URL of the place that holds the buckets; default: the store in the data directory',
      helpValue: 'LOCATION',
      env: 'BLOBS_BACKEND',
    }),
    host: Flags.string({ description: 'address to listen on', default: '127.0.0.1', helpValue: 'ADDRESS' }),
    port: Flags.integer({
      description: 'port to listen on; 0 takes a free one',
      default: 7420,
      min: 0,
      max: 65_535,
      helpValue: 'PORT',
    }),
    'tls-cert': tlsCert(),
    'tls-key': tlsKey(),
    audit: Flags.string({
      description: 'file of the audit log; default: audit.ndjson in the data directory',
      helpValue: 'FILE',
    }),
    'no-audit': Flags.boolean({ description: 'write no audit log', exclusive: ['audit'] }),
    face: Flags.custom<ReturnType<typeof parseFace>>({
      description:
        'also speak the protocol of another server; may be repeated. containers: users with containers of their own (blob-store), who sign up on this machine, or with containers=open anywhere; changelog=BUCKET[/STORE]: a change log of records (Indexed-data-synchronization); addresses=BUCKET: blobs by their SHA-256 (unibus). The last two know no tokens and are for programs on this machine',
      helpValue: 'NAME',
      multiple: true,
      multipleNonGreedy: true,
      parse: async (text) => parseFace(text),
    })(),
    drain: Flags.custom<number>({
      description: 'when told to stop, go on for so long with /ready turned off, so that a load balancer sends no more',
      helpValue: 'TIME',
      parse: async (text) => checkDrain(parseDuration(text)),
    })(),
    'stale-reads': Flags.custom<number>({
      description:
        'with --backend: for how long reads go on, marked as possibly stale, while the place cannot be read; default 10m, 0 for never. Tokens that are revoked meanwhile still read',
      helpValue: 'TIME',
      dependsOn: ['backend'],
      parse: async (text) => (text === '0' ? 0 : parseDuration(text)),
    })(),
    'gc-every': Flags.string({
      description: 'how often it lets go what buckets do not keep (blobs bucket gc); none: never',
      default: '24h',
      helpValue: 'SPAN',
    }),
    log: Flags.boolean({
      description: 'write the log to stderr; by default when that is not a terminal',
      allowNo: true,
    }),
  }
  static override stream = true
  static override service = true

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve)
    const [cert, key] = [flags['tls-cert'], flags['tls-key']]
    const tls = cert === undefined || key === undefined ? {} : { tls: readTls(cert, key) }
    const every = flags['gc-every'] === 'none' ? null : parseDuration(flags['gc-every'])
    const faces = checkFaces(flags.face ?? [])
    // Clients try again themselves, and know for how long.
    await using places = openPlaces({ ...this.access(flags), patient: false })
    const data = resolve(flags.data ?? places.directories.data)
    // With the secret and the buckets elsewhere nothing else makes it.
    makePrivate(data)
    const secretSource = openSecretSource(process.env, data, () => this.clock.now())
    const secrets = await secretSource.load()
    const buckets = await this.openBackend(places, flags.backend, data)
    const audit = flags['no-audit']
      ? null
      : openAuditFile(resolve(flags.audit ?? join(data, 'audit.ndjson')), this.output)
    try {
      await this.serve(
        {
          buckets,
          secrets,
          secretSource,
          ...(audit ? { audit: audit.write } : {}),
          ...tls,
          host: flags.host,
          port: flags.port,
          now: () => this.clock.now(),
          newId: () => this.ids.next(),
          ...(flags.drain === undefined ? {} : { drain: flags.drain }),
          ...(flags.backend === undefined ? {} : { staleReads: flags['stale-reads'] ?? STALE_READS }),
          ...(flags.backend === undefined ? { space: () => storeSpace(data) } : {}),
          faces: faces.map((face) => ({ ...face, spool: join(data, 'uploads') })),
          ...(this.wantsLog(flags) ? { log: linesToStderr() } : {}),
          ...(every === null ? {} : { collectEvery: every }),
        },
        flags.backend ?? data,
      )
    } finally {
      await buckets.close()
      await audit?.close()
    }
  }

  private openBackend(places: Places, backend: string | undefined, data: string): Promise<Buckets> {
    if (backend === undefined) return openBuckets('', { data, clock: this.clock, ids: this.ids, thorough: true })
    const location = parseLocation(backend, '--backend')
    if (!isServer(location)) return places.buckets(location)
    throw new BlobsError('InvalidRequest', `${location} is a server itself: it is not served once more`, {
      hint: 'use it as it is, or name what it serves: docs/backends.md',
    })
  }

  private async serve(options: ServerOptions, data: string): Promise<void> {
    const started = this.clock.elapsed()
    const server = await startServer(options).catch(namingFlags)
    this.output.item(
      'listening',
      { url: server.url, port: server.port, data, pid: process.pid },
      `blobs serves ${plain(data)} at ${server.url}`,
    )
    if (process.stderr.isTTY)
      this.output.message(`a token for a bucket: blobs token create BUCKET --data ${data} · stop: Ctrl-C`)
    await this.untilStopped()
    await server.close()
    const seconds = (this.clock.elapsed() - started) / 1000
    this.output.summary({ seconds: Math.round(seconds) }, `stopped after ${duration(seconds)}`)
  }

  private wantsLog(flags: { readonly log: boolean | undefined; readonly quiet: boolean }): boolean {
    return flags.log ?? (!flags.quiet && !process.stderr.isTTY)
  }
}

/** Who is told to stop is killed at last by whoever told it: some time must be left to finish. */
function checkDrain(milliseconds: number): number {
  if (milliseconds <= LONGEST_DRAIN) return milliseconds
  throw new BlobsError('InvalidRequest', '--drain takes 15s at most', { hint: 'a stopping service has 30 s in all' })
}
