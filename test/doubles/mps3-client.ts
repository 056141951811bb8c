import { randomUUID } from 'node:crypto'
import { AwsClient } from 'aws4fetch'

export interface Mps3Options {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly manifest?: string
  /** Milliseconds that this client's clock is ahead. */
  readonly clockOffset?: number
  readonly autoclean?: boolean
  /** What happens after a client has looked, and before it writes its entry. */
  readonly beforeEntry?: () => Promise<void>
}
type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
interface Entry {
  readonly files: Record<string, { readonly version: string } | null>
  readonly update: { readonly files: Record<string, { readonly version: string } | null> }
}

const LAG = 5000

/**
 * What an app on MPS3 0.0.81 does, request by request, without its offline store: its manifest log with autoclean, its clock that is only
 * checked against the answer's date, its counter that breaks after 1024 writes, its values that are JSON.
 */
export interface Mps3Client {
  /** `undefined` deletes. All or nothing, and last writer wins. */
  putAll(values: ReadonlyMap<string, Json | undefined>): Promise<void>
  put(key: string, value: Json | undefined): Promise<void>
  get(key: string): Promise<Json | undefined>
  keys(): Promise<readonly string[]>
}

export function openMps3Client(options: Mps3Options): Mps3Client {
  const { endpoint, bucket, manifest = 'manifest.json', autoclean = true } = options
  const { accessKeyId, secretAccessKey } = options
  const aws = new AwsClient({ accessKeyId, secretAccessKey, service: 's3', region: 'us-east-1', retries: 0 })
  const session = randomUUID().slice(0, 3)
  let offset = options.clockOffset ?? 0
  let writes = 0
  const at = (key: string): string => `${endpoint}/${bucket}/${encodeURIComponent(key)}`
  const digits = (time: number): string => (2 ** 42 - 1 - time).toString(32).padStart(9, '0')
  const timeOf = (key: string): number => 2 ** 42 - 1 - Number.parseInt(/@([0-9a-z]+)_/.exec(key)?.[1] ?? '', 32)
  const send = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const response = await aws.fetch(url, init)
    if (init.method === 'PUT' && response.status !== 200) throw new Error(`PUT ${url}: ${response.status}`)
    return response
  }
  const list = async (): Promise<readonly { readonly key: string; readonly modified: number }[]> => {
    const after = `${manifest}@${digits(Date.now() + offset + 10_000)}`
    const response = await send(`${endpoint}/${bucket}/?list-type=2&prefix=${manifest}@&start-after=${after}`)
    const xml = await response.text()
    return [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, item = '']) => ({
      key: (/<Key>(.*?)<\/Key>/s.exec(item)?.[1] ?? '').replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
      modified: Date.parse(/<LastModified>(.*?)<\/LastModified>/s.exec(item)?.[1] ?? ''),
    }))
  }
  const latest = async (): Promise<{ readonly files: Entry['files']; readonly time: number }> => {
    await send(at(manifest))
    const entries: { readonly key: string; readonly entry: Entry }[] = []
    let newest = 0
    for (const { key, modified } of await list()) {
      const counts = /@([0-9a-z]+)_[0-9a-z]+_[0-9a-z]{2}$/.test(key) && Math.abs(timeOf(key) - modified) < LAG
      const old = newest > 0 && timeOf(key) < newest - LAG
      if (counts && !old) {
        newest ||= timeOf(key)
        entries.push({ key, entry: (await (await send(at(key))).json()) as Entry })
      } else if (autoclean) await send(at(key), { method: 'DELETE' })
    }
    const files = { ...entries[0]?.entry.files }
    for (const { entry } of entries.reverse()) Object.assign(files, entry.update.files)
    return { files, time: newest }
  }
  const putAll: Mps3Client['putAll'] = async (values) => {
    const update: Record<string, { version: string; replication: string } | null> = {}
    for (const [key, value] of values) {
      if (value === undefined) {
        await send(at(key), { method: 'DELETE' })
        update[`${bucket}/${key}`] = null
        continue
      }
      const version = randomUUID()
      const body = JSON.stringify(value, null, 2)
      await send(at(`${key}@${version}`), { method: 'PUT', body, headers: { 'content-type': 'application/json' } })
      update[`${bucket}/${key}`] = { version, replication: '' }
    }
    const state = await latest()
    await options.beforeEntry?.()
    for (;;) {
      const time = Math.max(Date.now() + offset, state.time)
      const count = (1023 - writes++).toString(32).padStart(2, '0')
      const body = JSON.stringify({ files: state.files, update: { files: update } })
      const response = await send(at(`${manifest}@${digits(time)}_${session}_${count}`), { method: 'PUT', body })
      const date = Date.parse(response.headers.get('date') ?? '')
      if (Math.abs(time - date) < LAG) break
      offset = date - Date.now()
    }
    await send(at(manifest), { method: 'PUT', body: '""' })
  }
  return {
    putAll,
    put: (key, value) => putAll(new Map([[key, value]])),
    get: async (key) => {
      const file = (await latest()).files[`${bucket}/${key}`]
      if (!file) return undefined
      const text = await (await send(at(`${key}@${file.version}`))).text()
      return text === '' ? undefined : (JSON.parse(text) as Json)
    },
    keys: async () =>
      Object.entries((await latest()).files).flatMap(([ref, file]) => (file ? [ref.slice(bucket.length + 1)] : [])),
  }
}
