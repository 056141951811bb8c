import { BlobsError } from '../store/contract/errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
  ti: 1024 ** 4,
}
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 }

/** Bytes: `1000`, `500K`, `1.5 MB`, `2GiB`; K is 1000, Ki is 1024. Throws `InvalidRequest`. */
export function parseSize(text: string): number {
  const bytes = bytesOf(text)
  if (bytes === null) throw bad(text, 'a size', '500K, 10MB or 2GiB')
  return bytes
}

/** Bytes a second, as a size, with or without `/s`; more than 0. Throws `InvalidRequest`. */
export function parseRate(text: string): number {
  const rate = bytesOf(text.replace(/\/s$/, ''))
  if (rate !== null && rate > 0) return rate
  throw bad(text, 'a rate', '500K or 2MB: so many bytes a second')
}

function bytesOf(text: string): number | null {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?$/i.exec(text.trim()) ?? []
  const factor = UNITS[unit.toLowerCase()]
  return number === '' || factor === undefined ? null : Math.round(Number(number) * factor)
}

/** Milliseconds: `90s`, `30m`, `2h`, `3d`, `1w`. Throws `InvalidRequest`. */
export function parseDuration(text: string): number {
  const ms = durationOf(text)
  if (ms !== null && ms > 0) return ms
  throw bad(text, 'a time span', '90s, 30m, 2h, 3d or 1w')
}

/**
 * A moment as RFC 3339 in UTC, from RFC 3339, local `YYYY-MM-DD HH:MM`, or an age (`2h`, `3d`) before `now` (milliseconds since 1970).
 * Throws `InvalidRequest`, also for a moment that is still to come.
 */
export function parseTime(text: string, now: number): string {
  return parseMoment(text)(now)
}

/** The same where `now` is not known yet: what is no moment at all is thrown at once. */
export function parseMoment(text: string): (now: number) => string {
  const age = durationOf(text)
  const time = calendarTime(text)
  if (age === null && time === null) throw bad(text, 'a time', '2h, 3d, "2026-07-28 14:00" or 2026-07-28T14:00:00Z')
  return (now) => {
    const moment = time ?? now - (age ?? 0)
    if (moment > now + 60_000) {
      throw new BlobsError('InvalidRequest', `${text} is still to come`, { hint: 'give a time of the past' })
    }
    return new Date(moment).toISOString()
  }
}

/** `A-B` (both included), `A-` (to the end), `-N` (the last N bytes), as `BlobStore.get` takes it. Throws `InvalidRequest`. */
export function parseRange(text: string): readonly [number, number] {
  const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(text) ?? []
  const range =
    first === ''
      ? ([-Number(last), Infinity] as const)
      : ([Number(first), last === '' ? Infinity : Number(last)] as const)
  const valid = first === '' ? Number(last) > 0 : range[0] <= range[1]
  if (valid && Number.isSafeInteger(range[0])) return range
  throw bad(text, 'a range of bytes', '0-99, 100- or -50')
}

/** `name=value`, many; the names `mtime` and `mode` are ours. Throws `InvalidRequest`. */
export function parseMeta(texts: readonly string[]): Readonly<Record<string, string>> {
  const meta: Record<string, string> = {}
  for (const text of texts) {
    const [, name = '', value = ''] = /^([a-z0-9][a-z0-9._-]*)=(.*)$/s.exec(text) ?? []
    if (name === '') throw bad(text, 'metadata', 'name=value, with a name of a-z 0-9 . _ -')
    if (name === 'mtime' || name === 'mode') {
      throw new BlobsError('InvalidRequest', `the metadata name ${name} is taken by the file itself`, {
        hint: 'choose another name',
      })
    }
    meta[name] = value
  }
  return meta
}

function durationOf(text: string): number | null {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s?(s|m|min|h|d|w)$/.exec(text.trim()) ?? []
  const seconds = SECONDS[unit]
  return seconds === undefined ? null : Number(number) * seconds * 1000
}

const CALENDAR = /^(\d{4})-(\d\d)-(\d\d)(?:[ Tt](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?$/

/** Null when it is none, or names a day that no calendar has. */
function calendarTime(text: string): number | null {
  const match = CALENDAR.exec(text.trim())
  if (!match) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0))
  const exists = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day && month >= 1 && month <= 12
  if (!exists || hour > 23 || minute > 59 || second > 59) return null
  const zone = match[8]
  const ms = Math.floor(Number(`0${match[7] ?? ''}`) * 1000)
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second, ms).getTime()
  return Date.UTC(year, month - 1, day, hour, minute, second, ms) - zoneOffset(zone)
}

function zoneOffset(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0
  const [hours = 0, minutes = 0] = zone.slice(1).split(':').map(Number)
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

function bad(text: string, what: string, forms: string): BlobsError {
  return new BlobsError('InvalidRequest', `${JSON.stringify(text)} is not ${what}`, { hint: `write it as ${forms}` })
}
