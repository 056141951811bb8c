import { utf8Length } from './order.ts'
import type { Path } from './types.ts'

export interface Loser {
  /** Where the bytes were. */
  readonly path: Path
  /** Their modification time; outside the years 0000–9999 the nearest second inside is taken. */
  readonly mtimeNs: bigint
  /** Short name of the device they were saved on. */
  readonly device: string
  /** Their SHA-256, hex. */
  readonly hash: string
  /** Digits of the hash to show: 8 (the default) to 64. More when that name is taken by other bytes. */
  readonly hashLength?: number
}

export interface ConflictTag {
  /** Path of the original. Inexact only where the stem had to be cut to fit. */
  readonly path: Path
  readonly device: string
  /** RFC 3339, UTC, to the second. */
  readonly time: string
  /** The leading hex digits of the bytes' SHA-256. */
  readonly hash: string
}

const MAX_NAME_BYTES = 255
const MAX_DEVICE = 32
const MAX_EXTENSION_BYTES = 32
const TAGGED =
  /^(.*)\.conflict-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([a-z0-9]+(?:-[a-z0-9]+)*)-([0-9a-f]{8,64})(\.[^.]*)?$/s
/** Stands in for `:`, which names on Windows cannot have. */
const COLON = '\ua789'

/**
 * The sibling's path: `STEM.conflict-YYYYMMDDTHHMMSSZ-DEVICE-HASH8.EXT` in the same folder. A pure function of the loser, so a
 * crash and another try give the same name, and two devices the same name only for the same bytes. Never `path` itself. The
 * last extension stays last (`a.tar.gz` → `a.tar.conflict-….gz`); a tag that is there already is replaced.
 */
export function conflictName(loser: Loser): Path {
  const original = untagged(loser.path)
  const cut = original.lastIndexOf('/') + 1
  const { stem, extension } = split(original.slice(cut).replaceAll(':', COLON))
  const name = (digits: number): string => {
    const tag = `.conflict-${stamp(loser.mtimeNs)}-${shortName(loser.device)}-${loser.hash.slice(0, digits)}${extension}`
    return original.slice(0, cut) + trim(stem, MAX_NAME_BYTES - utf8Length(tag)) + tag
  }
  const digits = Math.min(64, Math.max(8, loser.hashLength ?? 8))
  const path = name(digits)
  return path === loser.path ? name(digits < 64 ? digits + 1 : 8) : path
}

/** What a sibling's name says, or null if it is not one's. */
export function parseConflictName(path: Path): ConflictTag | null {
  const cut = path.lastIndexOf('/') + 1
  const match = TAGGED.exec(path.slice(cut))
  if (match === null) return null
  const [, stem = '', year, month, day, hour, minute, second, device = '', hash = '', extension = ''] = match
  if (!isDate(Number(year), Number(month), Number(day))) return null
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null
  const name = (stem + extension).replaceAll(COLON, ':')
  if (name === '') return null
  return {
    path: path.slice(0, cut) + name,
    device,
    time: `${year}-${month}-${day}T${hour}:${minute}:${second}Z`,
    hash,
  }
}

function untagged(path: Path): Path {
  const tag = parseConflictName(path)
  return tag === null ? path : untagged(tag.path)
}

// A leading dot belongs to the stem; what ends in a dot or a space, or is long, is no extension, so that no name ends badly.
function split(name: string): { stem: string; extension: string } {
  const dot = name.lastIndexOf('.')
  const extension = name.slice(dot)
  const plain = dot <= 0 || /^\.+$/.test(name.slice(0, dot)) || /[. ]$/.test(name)
  if (plain || utf8Length(extension) > MAX_EXTENSION_BYTES) return { stem: name, extension: '' }
  return { stem: name.slice(0, dot), extension }
}

function trim(text: string, maxBytes: number): string {
  let bytes = 0
  let kept = ''
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > maxBytes) break
    kept += character
  }
  return kept
}

function shortName(device: string): string {
  const plain = device.normalize('NFKD').toLowerCase().replaceAll(/\p{M}/gu, '')
  const words = plain.replaceAll(/[^a-z0-9]+/g, '-').slice(0, MAX_DEVICE + 1)
  return words.replace(/^-/, '').slice(0, MAX_DEVICE).replace(/-$/, '') || 'device'
}

const SECONDS_A_DAY = 86_400n
const FIRST_SECOND = -62_167_219_200n // 0000-01-01T00:00:00Z
const LAST_SECOND = 253_402_300_799n // 9999-12-31T23:59:59Z

function stamp(mtimeNs: bigint): string {
  const seconds = clamp(floorDivide(mtimeNs, 1_000_000_000n))
  const days = floorDivide(seconds, SECONDS_A_DAY)
  const { year, month, day } = civilFromDays(Number(days))
  const time = Number(seconds - days * SECONDS_A_DAY)
  const [hour, minute, second] = [Math.floor(time / 3600), Math.floor(time / 60) % 60, time % 60]
  return `${digits(year, 4)}${digits(month, 2)}${digits(day, 2)}T${digits(hour, 2)}${digits(minute, 2)}${digits(second, 2)}Z`
}

function clamp(seconds: bigint): bigint {
  if (seconds < FIRST_SECOND) return FIRST_SECOND
  return seconds > LAST_SECOND ? LAST_SECOND : seconds
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** Gregorian date of a day counted from 1970-01-01, by eras of 400 years that start in March (Hinnant, `civil_from_days`). */
function civilFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const fromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * fromMarch + 2) / 5) + 1,
  }
}

function isDate(year: number, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1) return false
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const length = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
  return day <= length
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
