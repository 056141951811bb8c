import type { Command } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { wanted, type Candidate, type Completable, type Wanted } from '../cli/completion/wanted.ts'
import { wordsToCursor } from '../cli/script.ts'
import { listSettings } from '../locations/config-file.ts'
import { openPlaces } from '../locations/places.ts'
import { directories } from '../platform/directories.ts'

/** Somebody waits with a finger on the key. */
const PATIENCE = 2000
const MOST = 200

export default class Complete extends BlobsCommand {
  static override hidden = true
  static override strict = false
  static override summary = 'What the scripts of blobs completion ask.'
  static override usage = ['complete -- WORD...', 'complete --line -- LINE']
  static override knowsOthers = true

  async run(): Promise<void> {
    const start = this.argv.indexOf('--')
    const given = this.argv.slice(start + 1)
    const isLine = this.argv.slice(0, Math.max(0, start)).includes('--line')
    const words = isLine ? wordsToCursor(given[0] ?? '').slice(1) : given
    const typed = words.at(-1) ?? ''
    const found = wanted(words, this.config.commands.filter((command) => !command.hidden).map(completable))
    const late = new Promise<readonly Candidate[]>((resolve) => {
      setTimeout(() => resolve([]), PATIENCE).unref()
    })
    // Whatever is wrong, the line that is being typed is not the place to tell it.
    const more = await Promise.race([this.lookUp(found, typed).catch(() => []), late])
    for (const { value, summary } of [...found.candidates, ...more]) {
      this.output.line(summary === undefined ? value : `${value}\t${summary}`)
    }
    if (found.files) this.output.line(':files')
    // What did not come in time is not waited for.
    this.exit(0)
  }

  private async lookUp({ targets, profiles }: Wanted, typed: string): Promise<readonly Candidate[]> {
    if (profiles) {
      const names = Object.keys(listSettings(directories(process.env).config))
      return names.filter((name) => name.startsWith(typed)).map((value) => ({ value }))
    }
    if (targets === null) return []
    await using places = openPlaces({ ...this.access({}), onRetry: () => undefined })
    const isUrl = /^https?:\/\//.test(typed)
    const base = isUrl ? (/^https?:\/\/[^/]*\//.exec(typed)?.[0] ?? null) : ''
    if (base === null) return []
    const [bucket = '', ...rest] = typed.slice(base.length).split('/')
    const location = isUrl ? places.target(base).location : places.here
    if (rest.length === 0) {
      const names: string[] = []
      for await (const { name } of (await places.buckets(location)).list()) {
        if (name.startsWith(bucket) && names.push(name) >= MOST) break
      }
      return names.map((name) => ({ value: `${base}${name}${targets === 'keys' ? '/' : ''}` }))
    }
    if (targets === 'buckets') return []
    const store = await places.open({ location, bucket })
    const encode = (key: string): string => (isUrl ? key.split('/').map(encodeURIComponent).join('/') : key)
    const prefix = isUrl ? decodeURIComponent(rest.join('/')) : rest.join('/')
    const page = await store.list({ prefix, delimiter: '/', limit: MOST })
    const keys = [...page.prefixes, ...page.items.map(({ key }) => key).filter((key) => !key.endsWith('/'))]
    // A line break would end the candidate.
    return keys.filter((key) => !/[\n\t]/.test(key)).map((key) => ({ value: `${base}${bucket}/${encode(key)}` }))
  }
}

function completable({ id, summary, args, flags, description }: Command.Loadable): Completable {
  return {
    words: id.replaceAll(':', ' '),
    summary: summary ?? description ?? '',
    args: Object.values(args).map(({ name, multiple, options }) => ({
      name,
      multiple: multiple === true,
      options: options ?? [],
    })),
    flags: Object.values(flags)
      .filter(({ hidden }) => hidden !== true)
      .map((flag) => ({
        name: flag.name,
        char: flag.char ?? null,
        summary: flag.summary ?? flag.description ?? '',
        takesValue: flag.type === 'option',
        options: flag.type === 'option' ? (flag.options ?? []) : [],
        multiple: flag.type === 'option' && flag.multiple === true,
      })),
  }
}
