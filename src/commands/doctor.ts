import { join, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import type { Access } from '../cli/command.ts'
import { viewError } from '../cli/errors.ts'
import { limitRate } from '../cli/flags.ts'
import { count, duration, plain } from '../cli/format.ts'
import { examineFolder } from '../cli/sync/examine-folder.ts'
import { FolderCommand, showPairing } from '../cli/sync/folder-command.ts'
import { examineStore, makePrivate, pacer, type Examined } from '../locations/doctor.ts'
import { examinePlace } from '../locations/examine-place.ts'
import { examineServer } from '../locations/examine-server.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { scrubPlace, type ScrubbedBucket } from '../locations/scrub-place.ts'
import { repairStore, type Repaired } from '../locations/repair.ts'
import { isServer } from '../locations/target.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Finding, Inspection } from '../store/contract/findings.ts'

const DAMAGED = 9

/** A finding about a server or a folder. */
interface OtherFinding {
  readonly code: string
  readonly severity: 'failure' | 'warning' | 'fact'
  readonly message: string
  readonly remedy: string
}

interface Check {
  readonly findings: readonly Finding[]
  /** Null if there is no store. */
  readonly examined: Examined | null
  readonly seconds: number
}
type Pace = (bytes: number) => Promise<void>
interface RepairCall {
  readonly data: string
  readonly from: readonly string[]
  readonly places: Places
  readonly pace: Pace
}
const NOTHING: Examined = { buckets: 0, entries: 0, versions: 0 }

export default class Doctor extends FolderCommand {
  static override summary = 'Check a store, the way to a server, or a synced folder, and mend what can be mended.'
  static override description = `For the embedded store it reads everything once: files and their permissions, the database, the packs and their index, every entry of every log, the views, and the bytes of every version. It prints what is wrong, one finding and its remedy a line, and exits with 9 if something is damaged. The store may be in use meanwhile.

With --repair it makes a new database of what can be read in the old one, indexes the packs anew, and brings back what is lost from wherever it still is: other copies in the store, the views, and the places given with --from: a folder (one that is synced, say), the directory of another store, or the URL of a server or bucket. Then it tells what is lost for good. No other process may use the store then. What is replaced is kept in a folder "damaged-TIME" in the store's directory; until the last step the store stays as it was.

For a server it goes the way step by step: whether it can be reached and trusted, whether its clock agrees with this one, whether it takes the token and for how long, and whether it has the bucket. For a synced folder it looks at the disk, at what the system lets watch, at what is not in sync and why, and then at the way to its bucket. A warning leaves the exit code 0; what does not work ends with the code of its error.

Of a shared directory, an S3 bucket or NATS --scrub also reads every chunk, of one bucket or of all, and tells which versions lack bytes; it exits with 9 if one does. The place may be in use meanwhile.`
  static override usage = [
    'doctor [--data DIR] [--limit-rate RATE]',
    'doctor --repair [--from PLACE]... [--data DIR]',
    'doctor URL|FOLDER',
    'doctor URL --scrub [--limit-rate RATE]',
  ]
  static override examples = [
    { description: 'Check the embedded store', command: '<%= config.bin %> doctor' },
    {
      description: "Check a server's store where it lies, gently",
      command: '<%= config.bin %> doctor --data /srv/blobs --limit-rate 20MB',
    },
    {
      description: 'Mend it, with the help of a synced folder',
      command: '<%= config.bin %> doctor --data /srv/blobs --repair --from ~/notes',
    },
    { description: 'Check a synced folder, and the way to its bucket', command: '<%= config.bin %> doctor ~/notes' },
    { description: 'Check the way to a bucket', command: '<%= config.bin %> doctor https://blobs.example:7420/team' },
  ]
  static override args = {
    location: Args.string({
      description: 'URL of a server or of a bucket there, or a synced folder; default: where bare names are looked up',
      ignoreStdin: true,
    }),
  }
  static override flags = {
    data: Flags.string({
      description: 'directory of the store; default: that of the command line',
      helpValue: 'DIR',
    }),
    repair: Flags.boolean({ description: 'mend what can be mended' }),
    from: Flags.string({
      description: 'folder, store or URL that may still have what is lost',
      helpValue: 'PLACE',
      multiple: true,
      multipleNonGreedy: true,
      dependsOn: ['repair'],
    }),
    scrub: Flags.boolean({ description: 'also read every chunk of a shared place, and compare it with its hash' }),
    'limit-rate': limitRate({ description: 'read at most this many bytes a second' }),
  }

  private repaired: object = {}

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Doctor)
    await using places = openPlaces(this.access(flags))
    if (args.location !== undefined && (flags.data !== undefined || flags.repair)) {
      const flag = flags.repair ? '--repair' : '--data'
      throw new BlobsError('InvalidRequest', `${flag} is for the embedded store, not for a server`)
    }
    if (args.location !== undefined && this.isFolder(args.location)) {
      if (flags.scrub) {
        throw new BlobsError('InvalidRequest', '--scrub is for a place that holds buckets, not for a synced folder', {
          hint: 'blobs doctor URL --scrub, with the URL of its bucket (blobs status)',
        })
      }
      return await this.checkFolder(places, args.location, this.access(flags))
    }
    const target = args.location === undefined ? null : places.target(args.location)
    const location = flags.data === undefined && !flags.repair ? (target?.location ?? places.here) : ''
    // Awaited here: the places close when this function ends.
    if (location !== '') {
      const bucket = target?.bucket ?? ''
      if (!flags.scrub) return await this.checkServer(places, location, bucket)
      return await this.scrub(places, { location, bucket, limit: flags['limit-rate'] })
    }
    if (target !== null) {
      const message = `${JSON.stringify(target.text)} is in the embedded store, which is checked as a whole`
      throw new BlobsError('InvalidRequest', message, { hint: 'blobs doctor' })
    }
    const data = resolve(flags.data ?? places.directories.data)
    const pace = pacer(this.clock, flags['limit-rate'])
    const check = await this.check(data, flags.data, pace)
    if (!flags.repair || check.findings.every(({ code }) => code === 'space' || code === 'aside'))
      return this.conclude(data, check)
    await this.repair({ data, from: flags.from ?? [], places, pace }, check.findings)
    this.conclude(data, await this.check(data, flags.data, pace))
  }

  /** Prints what is wrong as it is found. */
  private async check(data: string, given: string | undefined, pace: Pace): Promise<Check> {
    const started = this.clock.elapsed()
    const findings: Finding[] = []
    await using progress = this.progress(`check ${plain(data)}`)
    const inspection: Inspection = {
      report: (found) => {
        const remedy = given === undefined ? found.remedy : found.remedy.replace('--repair', `--repair --data ${given}`)
        const finding = { ...found, remedy }
        findings.push(finding)
        this.output.line(line(finding))
      },
      pace: async (bytes) => {
        this.signal.throwIfAborted()
        progress.add(bytes)
        await pace(bytes)
      },
    }
    const examined = await examineStore({ data, clock: this.clock, ids: this.ids, inspection })
    return { findings, examined, seconds: (this.clock.elapsed() - started) / 1000 }
  }

  private conclude(data: string, { findings, examined, seconds }: Check): void {
    const damaged = findings.filter(({ severity }) => severity === 'damage').length
    const result = { location: data, ok: damaged === 0, findings, ...(examined ?? NOTHING), ...this.repaired }
    const looked = `${count(result.buckets, 'bucket')}, ${count(result.versions, 'version')}, in ${duration(seconds)}`
    const verdict = damaged === 0 ? 'nothing is damaged' : `${count(damaged, 'damage')} found`
    const text =
      examined === null && damaged === 0
        ? `there is no store in ${plain(data)} yet`
        : `${plain(data)}: ${verdict} (${looked})`
    this.output.document(result, text)
    if (damaged > 0) this.exit(DAMAGED)
  }

  private async repair({ data, from, places, pace }: RepairCall, findings: readonly Finding[]): Promise<void> {
    const closed = await makePrivate(data)
    if (findings.every(({ code }) => APART.has(code))) {
      this.repaired = { repaired: { closed } }
      return this.output.line(`repaired: ${count(closed, 'file')} can now be used by the owner only`)
    }
    await using progress = this.progress(`repair ${plain(data)}`)
    const inspection = {
      pace: async (bytes: number) => {
        this.signal.throwIfAborted()
        progress.add(bytes)
        await pace(bytes)
      },
    }
    const repaired = await repairStore({ data, from, places, clock: this.clock, ids: this.ids, inspection })
    await progress.end()
    this.repaired = { repaired: { ...repaired, closed } }
    for (const text of told(repaired)) this.output.line(plain(text))
  }

  private async scrub(
    places: Places,
    {
      location,
      bucket,
      limit,
    }: { readonly location: string; readonly bucket: string; readonly limit: number | undefined },
  ): Promise<void> {
    if (isServer(location)) {
      throw new BlobsError('NotSupported', `${location} is a server: what it keeps is checked on its machine`, {
        hint: 'there: blobs doctor --data DIR, or, of what --backend names, blobs doctor URL --scrub',
      })
    }
    const started = this.clock.elapsed()
    const findings: Finding[] = []
    let scrubbed: readonly ScrubbedBucket[]
    {
      await using progress = this.progress(`scrub ${plain(location)}`)
      const slow = pacer(this.clock, limit)
      scrubbed = await scrubPlace(await places.buckets(location), bucket, {
        report: (finding) => {
          findings.push(finding)
          this.output.line(line(finding))
        },
        pace: async (bytes) => {
          this.signal.throwIfAborted()
          progress.add(bytes)
          await slow(bytes)
        },
      })
    }
    const ok = findings.length === 0
    const chunks = scrubbed.reduce((sum, one) => sum + one.chunks, 0)
    const read = `${count(scrubbed.length, 'bucket')}, ${count(chunks, 'chunk')}, in ${duration((this.clock.elapsed() - started) / 1000)}`
    const verdict = ok ? 'nothing is damaged' : `${count(findings.length, 'damage')} found`
    this.output.document({ location, ok, findings, scrubbed }, `${plain(location)}: ${verdict} (${read})`)
    if (!ok) this.exit(DAMAGED)
  }

  private async checkServer(places: Places, location: string, bucket: string): Promise<void> {
    const { findings, exitCode, buckets } = await this.wayTo(places, location, bucket)
    const what =
      bucket === ''
        ? `${count(buckets, 'bucket')} can be used${isServer(location) ? ' with this token' : ''}`
        : `bucket ${bucket} can be used`
    const text = exitCode === 0 ? `${location} answers: ${what}` : `${location}: ${problems(findings)}`
    this.output.document({ location, ok: exitCode === 0, findings, buckets }, text)
    if (exitCode !== 0) this.exit(exitCode)
  }

  /** Goes the way to a server, and tells of each finding. */
  private async wayTo(places: Places, location: string, bucket: string): Promise<Way> {
    const findings: OtherFinding[] = []
    let exitCode = 0
    const steps = isServer(location)
      ? examineServer(places, { location, bucket, clock: this.clock })
      : examinePlace(places, { location, bucket })
    for (;;) {
      const step = await steps.next()
      if (step.done) return { findings, exitCode, ...step.value }
      let finding: OtherFinding
      if ('error' in step.value) {
        const view = viewError(step.value.error, this.clock.now(), 'doctor')
        exitCode = view.exitCode
        finding = { code: view.code, severity: 'failure', message: view.message, remedy: view.hint }
      } else finding = step.value
      findings.push(finding)
      this.output.line(line(finding))
    }
  }

  /** True for a path, also one that is called as a bucket might be if it is synced. */
  private isFolder(text: string): boolean {
    return /^(\.{0,2}|~)\//.test(text) || /^\.\.?$/.test(text) || this.fs.lstat(join(resolve(text), '.blobs')) !== null
  }

  private async checkFolder(places: Places, path: string, access: Access): Promise<void> {
    const folder = this.findFolder(path)
    const { root, pairing } = folder
    const status = await this.ask(access, folder, (control) => control.status())
    const findings: OtherFinding[] = []
    for (const finding of examineFolder(this.fs, root, status)) {
      findings.push(finding)
      this.output.line(line(finding))
    }
    let exitCode = findings.some(({ severity }) => severity === 'failure') ? 1 : 0
    if (pairing.location === '') await (await places.open(pairing)).info()
    else {
      const way = await this.wayTo(places, pairing.location, pairing.bucket)
      findings.push(...way.findings)
      exitCode ||= way.exitCode
    }
    const { synced } = status
    const { location, bucket, prefix } = pairing
    const verdict = findings.every(({ severity }) => severity === 'fact') ? 'nothing is wrong' : problems(findings)
    const text = `${folder.shown} = ${showPairing(pairing)}: ${verdict} (${count(synced, 'path')} in sync)`
    this.output.document({ root, location, bucket, prefix, ok: exitCode === 0, findings, synced }, text)
    if (exitCode !== 0) this.exit(exitCode)
  }
}

interface Way {
  readonly findings: readonly OtherFinding[]
  readonly exitCode: number
  readonly buckets: number
}

function problems(findings: readonly OtherFinding[]): string {
  const failures = findings.filter(({ severity }) => severity === 'failure').length
  const warnings = findings.filter(({ severity }) => severity === 'warning').length
  const parts = [
    ...(failures === 0 ? [] : [count(failures, 'problem')]),
    ...(warnings === 0 ? [] : [count(warnings, 'warning')]),
  ]
  return `${parts.join(', ')} found`
}

/** Told, but nothing that a new database would mend. */
const APART: ReadonlySet<Finding['code']> = new Set(['permissions', 'space', 'aside'])

function* told({ recalled, lostEntries, renumbered, chunks, aside }: Repaired): Generator<string, void> {
  for (const { bucket, position, from } of recalled)
    yield `restored: entry ${position} of the log of bucket ${bucket}, from ${from}`
  if (chunks > 0) yield `restored: ${count(chunks, 'chunk')}`
  for (const { bucket, position } of lostEntries) {
    yield `lost: entry ${position} of the log of bucket ${bucket}; what it changed is not known → compare with a folder or a backup`
  }
  for (const { bucket, key } of renumbered)
    yield `changed: ${bucket}/${key} counts its versions anew from where an entry was lost`
  yield `repaired: the store is made anew; what was replaced is in ${aside}`
}

/** `damage: what is wrong → what to do about it` */
function line({ severity, message, remedy }: Finding | OtherFinding): string {
  return `${severity}: ${plain(message)}${remedy === '' ? '' : ` → ${plain(remedy)}`}`
}
