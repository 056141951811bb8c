import type { Target } from '../protocol/routes.ts'
import { Malformed } from '../protocol/schema.ts'

type Reader<T> = (value: string) => T | undefined
type Readers = Readonly<Record<string, Reader<unknown>>>
type Read<R extends Readers> = { -readonly [K in keyof R]?: Exclude<ReturnType<R[K]>, undefined> }

/** The parameters of a query; throws `Malformed` for an unknown one, one given twice, and one that its reader does not know. */
export function readQuery<R extends Readers>(query: NonNullable<Target['query']>, readers: R): Read<R> {
  const result: Record<string, unknown> = {}
  for (const [name, value] of query) {
    const reader = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (!reader) throw new Malformed(name, 'not a known parameter')
    if (Object.hasOwn(result, name)) throw new Malformed(name, 'given twice')
    const read = reader(value)
    if (read === undefined) throw new Malformed(name, `${JSON.stringify(value)} is not of the right form`)
    result[name] = read
  }
  // The loop has put under each name what its reader gave.
  return result as Read<R>
}

export const textParameter: Reader<string> = (value) => (value.isWellFormed() ? value : undefined)

/** `1`, `true` or nothing for yes; `0` or `false` for no. */
export const flagParameter: Reader<boolean> = (value) => {
  if (value === '' || value === '1' || value === 'true') return true
  return value === '0' || value === 'false' ? false : undefined
}

export function countParameter(min: number, max: number): Reader<number> {
  return (value) =>
    /^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined
}

export const timeParameter: Reader<string> = (value) =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) && !Number.isNaN(Date.parse(value))
    ? value
    : undefined
