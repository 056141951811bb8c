import { resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { viewError } from '../cli/errors.ts'
import { limitRate } from '../cli/flags.ts'
import { count, duration, plain } from '../cli/format.ts'
import { examineStore, pacer } from '../locations/doctor.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Finding, Inspection } from '../store/contract/findings.ts'

const DAMAGED = 9

/** A finding about a server: it is the error of what was tried. */
interface ServerFinding {
  readonly code: string
  readonly severity: 'failure'
  readonly message: string
  readonly remedy: string
}

export default class Doctor extends BlobsCommand {
  static override summary = 'Check a store, or the way to a server, and mend what can be mended.'
  static override description = `For the embedded store it reads everything once: files and their permissions, the database, the packs and their index, every entry of every log, the views, and the bytes of every version. It prints what is wrong, one finding and its remedy a line, and exits with 9 if something is damaged. The store may be in use meanwhile.

For a server it says whether it can be reached, takes the token, and has the bucket.`
  static override usage = ['doctor [--data DIR] [--limit-rate RATE]', 'doctor URL']
  static override examples = [
    { description: 'Check the embedded store', command: '<%= config.bin %> doctor' },
    {
      description: "Check a server's store where it lies, gently",
      command: '<%= config.bin %> doctor --data /srv/blobs --limit-rate 20MB',
    },
    { description: 'Check the way to a bucket', command: '<%= config.bin %> doctor https://blobs.example:7420/team' },
  ]
  static override args = {
    location: Args.string({
      description: 'URL of a server or of a bucket there; default: where bare names are looked up',
      ignoreStdin: true,
    }),
  }
  static override flags = {
    data: Flags.string({
      description: 'directory of the store; default: that of the command line',
      helpValue: 'DIR',
    }),
    'limit-rate': limitRate({ description: 'read at most this many bytes a second' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Doctor)
    await using places = openPlaces(this.access(flags))
    if (args.location !== undefined && flags.data !== undefined) {
      throw new BlobsError('InvalidRequest', '--data is for the embedded store, not for a server')
    }
    const target = args.location === undefined ? null : places.target(args.location)
    const location = flags.data === undefined ? (target?.location ?? places.here) : ''
    if (location !== '') return this.checkServer(places, location, target?.bucket ?? '')
    if (target !== null) {
      throw new BlobsError(
        'InvalidRequest',
        `${JSON.stringify(target.text)} is in the embedded store, which is checked as a whole`,
        {
          hint: 'blobs doctor',
        },
      )
    }
    await this.checkStore(resolve(flags.data ?? places.directories.data), flags['limit-rate'])
  }

  private async checkStore(data: string, rate: number | undefined): Promise<void> {
    const started = this.clock.elapsed()
    const findings: Finding[] = []
    await using progress = this.progress(`check ${plain(data)}`)
    const pace = pacer(this.clock, rate)
    const inspection: Inspection = {
      report: (finding) => {
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
    await progress.end()
    const damaged = findings.filter(({ severity }) => severity === 'damage').length
    const seconds = (this.clock.elapsed() - started) / 1000
    const result = {
      location: data,
      ok: damaged === 0,
      findings,
      ...(examined ?? { buckets: 0, entries: 0, versions: 0 }),
    }
    const looked = `${count(result.buckets, 'bucket')}, ${count(result.versions, 'version')}, in ${duration(seconds)}`
    const verdict = damaged === 0 ? 'nothing is damaged' : `${count(damaged, 'damage')} found`
    this.output.document(
      result,
      examined === null ? `there is no store in ${plain(data)} yet` : `${plain(data)}: ${verdict} (${looked})`,
    )
    if (damaged > 0) this.exit(DAMAGED)
  }

  private async checkServer(places: Places, location: string, bucket: string): Promise<void> {
    const findings: ServerFinding[] = []
    let exitCode = 0
    let open = 0
    try {
      for await (const _one of (await places.buckets(location)).list()) open += 1
      if (bucket !== '') await (await places.open({ location, bucket })).info()
    } catch (error) {
      const view = viewError(error, this.clock.now(), 'doctor')
      exitCode = view.exitCode
      findings.push({ code: view.code, severity: 'failure', message: view.message, remedy: view.hint })
    }
    for (const finding of findings) this.output.line(line(finding))
    const what = bucket === '' ? `${count(open, 'bucket')} can be used with this token` : `bucket ${bucket} can be used`
    this.output.document(
      { location, ok: exitCode === 0, findings, buckets: open },
      exitCode === 0 ? `${location} answers: ${what}` : `${location}: ${count(findings.length, 'problem')} found`,
    )
    if (exitCode !== 0) this.exit(exitCode)
  }
}

/** `damage: what is wrong → what to do about it` */
function line({ severity, message, remedy }: Finding | ServerFinding): string {
  return `${severity}: ${plain(message)} → ${plain(remedy)}`
}
