import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivate } from './directories.ts'
import type { Ids } from './ports.ts'
import { publishOnce } from './private-files.ts'

/** This machine as others see it: in entries, and in the names of conflict files. */
export interface Device {
  /** 32 lower-case hex digits. */
  readonly id: string
  /** Short: 1–24 of a–z 0–9 and `-`. */
  readonly name: string
}

/**
 * The device of this state directory: read, or made on the first call (file `device`, JSON). Several processes that make it at once all
 * get the same one. Throws an error that names the file if it is not a device's.
 */
export function openDevice(stateDirectory: string, hostName: string, ids: Ids): Device {
  const path = join(stateDirectory, 'device')
  const known = readDevice(path)
  if (known) return known
  makePrivate(stateDirectory)
  const made: Device = { id: ids.next(), name: shortName(hostName) }
  publishOnce(path, `${JSON.stringify(made)}\n`, `${path}.${ids.next()}`)
  const device = readDevice(path)
  if (device) return device
  throw Object.assign(new Error(`${path} vanished while it was made`), { code: 'ENOENT', path })
}

/** The first label of a host name as 1–24 of a–z 0–9 and `-`. */
export function shortName(hostName: string): string {
  const label = hostName.split('.')[0] ?? ''
  const plain = label
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 24)
    .replaceAll(/^-+|-+$/g, '')
  return plain === '' ? 'device' : plain
}

function readDevice(path: string): Device | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const device = parse(text)
  if (device) return device
  throw Object.assign(new Error(`${path} does not hold this device's id and name; remove it and a new one is made`), {
    path,
  })
}

function parse(text: string): Device | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  const { id, name } = (value ?? {}) as Record<string, unknown>
  if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id)) return null
  if (typeof name !== 'string') return null
  return { id, name: shortName(name) }
}
