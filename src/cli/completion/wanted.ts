/** A command as completion sees it: what its manifest says. */
export interface Completable {
  /** As one types it: `bucket create`. */
  readonly words: string
  readonly summary: string
  /** Names of its positional arguments, in order; the last of `multiple` ones may be repeated. */
  readonly args: readonly { readonly name: string; readonly multiple: boolean; readonly options: readonly string[] }[]
  readonly flags: readonly {
    readonly name: string
    readonly char: string | null
    readonly summary: string
    readonly takesValue: boolean
    readonly multiple: boolean
    /** All the values there are; none when it takes others. */
    readonly options: readonly string[]
  }[]
}
export interface Candidate {
  readonly value: string
  readonly summary?: string
}
/** What could stand where the cursor is. */
export interface Wanted {
  readonly candidates: readonly Candidate[]
  /** Also names of what lies on the disk. */
  readonly files: boolean
  /** Also buckets, or buckets and what is in them. */
  readonly targets: 'buckets' | 'keys' | null
  /** Also the profiles of the configuration. */
  readonly profiles: boolean
}

const NOTHING: Wanted = { candidates: [], files: false, targets: null, profiles: false }
const FILES: Wanted = { ...NOTHING, files: true }
const KEYS: Wanted = { ...NOTHING, targets: 'keys' }
const BUCKETS: Wanted = { ...NOTHING, targets: 'buckets' }

/** By what an argument is called; where a command means something else by it, `OF_COMMAND` says so. */
const OF_ARGUMENT: Readonly<Record<string, Wanted>> = {
  source: KEYS,
  target: KEYS,
  bucket: BUCKETS,
  file: FILES,
  folder: FILES,
  path: FILES,
  setting: { ...NOTHING, candidates: [{ value: 'server' }, { value: 'token-file' }, { value: 'ca-cert' }] },
}
const OF_COMMAND: Readonly<Record<string, (index: number) => Wanted | undefined>> = {
  put: (index) => (index === 0 ? FILES : { ...KEYS, files: true }),
  get: (index) => (index === 0 ? KEYS : { ...KEYS, files: true }),
  sync: (index) => (index === 1 ? KEYS : undefined),
  watch: () => KEYS,
  'bucket create': () => NOTHING,
}
const FILE_FLAGS: ReadonlySet<string> = new Set(['token-file', 'ca-cert', 'tls-cert', 'tls-key', 'data', 'from'])

/** What the last of the words, which is being typed, may become; the others stand before it. */
export function wanted(words: readonly string[], commands: readonly Completable[]): Wanted {
  const before = words.slice(0, -1)
  const typed = words.at(-1) ?? ''
  const command = commandOf(before, commands)
  if (command === null) return { ...NOTHING, candidates: matching(nextWords(before, commands), typed) }
  const given = before.slice(command.words.split(' ').length)
  const { positionals, open, ended } = read(given, command)
  if (open !== null) return valueOf(open, typed)
  if (typed.startsWith('-') && !ended) return { ...NOTHING, candidates: matching(flagsOf(command, given), typed) }
  const more = positionals === 0 ? nextWords(before, commands) : []
  const argument = argumentOf(command, positionals)
  return { ...argument, candidates: matching([...more, ...argument.candidates], typed) }
}

/** The command that the words begin with: the longest one. */
function commandOf(words: readonly string[], commands: readonly Completable[]): Completable | null {
  const [first = '', second = ''] = words
  const named = (name: string): Completable | undefined => commands.find((command) => command.words === name)
  return named(`${first} ${second}`) ?? named(first) ?? null
}

/** Words that go on to a command from these. */
function nextWords(words: readonly string[], commands: readonly Completable[]): readonly Candidate[] {
  if (words.length > 1) return []
  const start = words.length === 0 ? '' : `${words[0] ?? ''} `
  const found = new Map<string, Candidate>()
  for (const { words: name, summary } of commands) {
    if (!name.startsWith(start)) continue
    const [value = '', further] = name.slice(start.length).split(' ')
    if (value === '') continue
    // A word that others share says nothing of one of them.
    if (further === undefined) found.set(value, { value, summary })
    else if (!found.has(value)) found.set(value, { value, summary: `${value} …` })
  }
  return [...found.values()]
}

interface Read {
  readonly positionals: number
  /** The flag that waits for its value. */
  readonly open: Completable['flags'][number] | null
  /** `--` was there: what follows is no flag. */
  readonly ended: boolean
}

function read(given: readonly string[], { flags }: Completable): Read {
  let positionals = 0
  let open: Read['open'] = null
  let ended = false
  for (const word of given) {
    if (open !== null) open = null
    else if (ended || word === '-' || !word.startsWith('-')) positionals += 1
    else if (word === '--') ended = true
    else open = flags.find((flag) => flag.takesValue && (word === `--${flag.name}` || word === `-${flag.char}`)) ?? null
  }
  return { positionals, open, ended }
}

function valueOf({ name, options }: Completable['flags'][number], typed: string): Wanted {
  if (options.length > 0) {
    return {
      ...NOTHING,
      candidates: matching(
        options.map((value) => ({ value })),
        typed,
      ),
    }
  }
  if (name === 'profile') return { ...NOTHING, profiles: true }
  return FILE_FLAGS.has(name) ? FILES : NOTHING
}

function flagsOf({ flags }: Completable, given: readonly string[]): readonly Candidate[] {
  return flags
    .filter(({ name, char, multiple }) => multiple || (!given.includes(`--${name}`) && !given.includes(`-${char}`)))
    .map(({ name, summary }) => ({ value: `--${name}`, summary }))
}

function argumentOf(command: Completable, index: number): Wanted {
  const special = OF_COMMAND[command.words]?.(index)
  if (special) return special
  const last = command.args.at(-1)
  const argument = command.args[index] ?? (last?.multiple ? last : undefined)
  if (!argument) return NOTHING
  if (argument.options.length > 0) return { ...NOTHING, candidates: argument.options.map((value) => ({ value })) }
  return OF_ARGUMENT[argument.name] ?? NOTHING
}

function matching(candidates: readonly Candidate[], typed: string): readonly Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(typed))
}
