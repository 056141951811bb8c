/** A value that is not of the form the protocol gives it; `path` says where, as `entries[3].changes[0].key`. */
export class Malformed extends Error {
  readonly path: string

  constructor(path: string, problem: string) {
    super(path === '' ? problem : `${path}: ${problem}`)
    this.name = 'Malformed'
    this.path = path
  }
}

/** Returns the value as T, made of the known parts only, or throws `Malformed`. */
export type Check<T> = (value: unknown, path: string) => T
export type Checked<C> = C extends Check<infer T> ? T : never

export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, path) => {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
    throw new Malformed(path, `not an integer from ${min} to ${max}`)
  }
}

/** Well-formed Unicode of at most `max` UTF-16 units that matches the pattern, which is described by `what`. */
export function text(max: number, pattern?: RegExp, what = 'of the right form'): Check<string> {
  return (value, path) => {
    if (typeof value !== 'string') throw new Malformed(path, 'not a text')
    if (value.length > max) throw new Malformed(path, `longer than ${max} characters`)
    if (!value.isWellFormed()) throw new Malformed(path, 'not valid Unicode')
    if (pattern && !pattern.test(value)) throw new Malformed(path, `not ${what}`)
    return value
  }
}

export const flag: Check<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value
  throw new Malformed(path, 'not true or false')
}

export function list<T>(item: Check<T>, max: number, min = 0): Check<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new Malformed(path, 'not a list')
    if (value.length > max) throw new Malformed(path, `more than ${max} items`)
    if (value.length < min) throw new Malformed(path, min === 1 ? 'empty' : `fewer than ${min} items`)
    return value.map((one: unknown, index) => item(one, `${path}[${index}]`))
  }
}

export function nullable<T>(inner: Check<T>): Check<T | null> {
  return (value, path) => (value === null ? null : inner(value, path))
}

export function literal<const T extends string | boolean>(...values: readonly T[]): Check<T> {
  return (value, path) => {
    const found = values.find((one) => one === value)
    if (found !== undefined) return found
    throw new Malformed(path, `not ${values.map((one) => JSON.stringify(one)).join(' or ')}`)
  }
}

type Shape = Readonly<Record<string, Check<unknown>>>
type Shaped<S extends Shape> = { [K in keyof S]: Checked<S[K]> }

/** An object with these properties. With `closed`, any other one is an error; otherwise others are left out. */
export function object<R extends Shape, O extends Shape = Record<never, never>>(
  required: R,
  optional?: O,
  closed: 'closed' | 'open' = 'open',
): Check<Shaped<R> & Partial<Shaped<O>>> {
  const known = new Map<string, { check: Check<unknown>; needed: boolean }>()
  for (const [name, check] of Object.entries(required)) known.set(name, { check, needed: true })
  for (const [name, check] of Object.entries(optional ?? {})) known.set(name, { check, needed: false })
  return (value, path) => {
    const source = record(value, path)
    if (closed === 'closed') refuseOthers(source, known, path)
    const result: Record<string, unknown> = {}
    for (const [name, { check, needed }] of known) {
      const one = source[name]
      if (one !== undefined) result[name] = check(one, join(path, name))
      else if (needed) throw new Malformed(join(path, name), 'missing')
    }
    // The loop above has put a checked value under every required name.
    return result as Shaped<R> & Partial<Shaped<O>>
  }
}

export function record(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Malformed(path, 'not an object')
}

function refuseOthers(
  source: Readonly<Record<string, unknown>>,
  known: ReadonlyMap<string, unknown>,
  path: string,
): void {
  const other = Object.keys(source).find((name) => !known.has(name))
  if (other !== undefined) throw new Malformed(join(path, other), 'not a known property')
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
