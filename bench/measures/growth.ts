import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Bench, Contender } from '../bench.ts'
import { atMost, times } from '../figures.ts'
import { serve } from '../server.ts'

const FEW = 1000
const MANY = 1_000_000
const FEW_NAME = '10³ keys'
const MANY_NAME = '10⁶ keys'
const PUTS = 300
const LISTS = 50
const IN_ENTRY = 1000
const ENTRIES = 10
const IN_FOLDER = 100

type Ask = (method: string, path: string, body?: string | Uint8Array) => Promise<string>

/** What a put and the listing of one folder cost in a small and in a large bucket of the same server. */
export async function measureGrowth(bench: Bench): Promise<void> {
  const served = await serve(bench)
  const authorization = `Bearer ${readFileSync(served.token, 'utf8').trim()}`
  const ask: Ask = async (method, path, body) => {
    const answer = await fetch(`${served.server.url}/v1/buckets/${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text
  }
  await fill(ask, 'few', FEW)
  await fill(ask, 'many', MANY)
  const both: Both = (act) => [
    { name: FEW_NAME, act: (run) => act('few', run) },
    { name: MANY_NAME, act: (run) => act('many', run) },
  ]
  if (bench.wants('growth.put')) await measurePut(bench, both, ask)
  if (bench.wants('growth.ls')) await measureList(bench, both, ask)
  await served.stop()
}

type Both = (act: (bucket: string, run: number) => Promise<number>) => Contender[]

function measurePut(bench: Bench, both: Both, ask: Ask): Promise<void> {
  return bench.race({
    id: 'growth.put',
    what: `put of a small blob, one at a time (median of ${PUTS})`,
    contenders: both((bucket, run) =>
      times(PUTS, (n) => ask('PUT', `${bucket}/blobs/folder-7/put-${run}-${n}`, randomBytes(100))),
    ),
    targets: [atMost(1.2, FEW_NAME, MANY_NAME)],
  })
}

function measureList(bench: Bench, both: Both, ask: Ask): Promise<void> {
  return bench.race({
    id: 'growth.ls',
    what: `listing of a folder of ${IN_FOLDER} (median of ${LISTS})`,
    contenders: both((bucket) =>
      times(LISTS, async () => {
        const page = JSON.parse(await ask('GET', `${bucket}/blobs?prefix=folder-5/&delimiter=/`)) as {
          items: readonly unknown[]
        }
        if (page.items.length !== IN_FOLDER) throw new Error(`${page.items.length} were listed`)
      }),
    ),
    targets: [atMost(1.2, FEW_NAME, MANY_NAME)],
  })
}

/** Keys in folders of a hundred, all with the same bytes. */
async function fill(ask: Ask, bucket: string, keys: number): Promise<void> {
  await ask('PUT', bucket, '{}')
  const bytes = Buffer.from('bench')
  await ask('PUT', `${bucket}/blobs/first`, bytes)
  const hash = createHash('sha256').update(bytes).digest('hex')
  const body = { depth: 0, refs: [{ hash, size: bytes.length }] }
  const rest = { type: 'put', expect: 'absent', hash, size: bytes.length, body, contentType: 'text/plain', meta: {} }
  const entryOf = (from: number): unknown => ({
    id: randomBytes(16).toString('hex'),
    changes: Array.from({ length: Math.min(IN_ENTRY, keys - from) }, (_, n) => ({
      key: `folder-${Math.floor((from + n) / IN_FOLDER)}/file-${(from + n) % IN_FOLDER}`,
      ...rest,
    })),
  })
  for (let from = 0; from < keys; from += IN_ENTRY * ENTRIES) {
    const starts = Array.from({ length: ENTRIES }, (_, n) => from + n * IN_ENTRY).filter((start) => start < keys)
    const text = await ask('POST', `${bucket}/commit`, JSON.stringify({ entries: starts.map(entryOf) }))
    const { outcomes } = JSON.parse(text) as { outcomes: readonly { ok: boolean }[] }
    if (!outcomes.every(({ ok }) => ok)) throw new Error('a key was there already')
  }
}
