import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from './dice.ts'
import { hashOf, type Ledger } from './ledger.ts'

/** The bucket, spoken to directly. */
export interface Cloud {
  /** Puts or deletes some key. False: the server did not take it. */
  edit(dice: Dice): Promise<boolean>
  /** Everything the bucket has: every version of every key. Throws while the server is away. */
  history(): Promise<readonly Version[]>
  /** Follows the changes until the signal aborts: what they tell is the bucket's to keep. Waits out a server that is away. */
  witness(signal: AbortSignal): Promise<void>
}
export interface Version {
  readonly key: string
  readonly version: number
  readonly hash?: string
  readonly deleted: boolean
}

const KEYS = ['a.txt', 'b.md', 'dir/x', 'dir/sub/z', 'd2/q', 'cloud/1', 'cloud/2/3', 'notes/2026/plan.md'] as const

export function openCloud(url: string, bucket: string, token: string, ledger: Ledger): Cloud {
  const base = `${url}/v1/buckets/${bucket}`
  const headers = { authorization: `Bearer ${token}` }
  let count = 0

  const edit = async (dice: Dice): Promise<boolean> => {
    const key = dice.pick(KEYS)
    const target = `${base}/blobs/${key}`
    try {
      if (dice.oneIn(4)) return (await fetch(target, { method: 'DELETE', headers })).ok
      const bytes = Buffer.concat([Buffer.from(`#cloud ${++count}\n`), dice.bytes(dice.below(100_000))])
      const answer = await fetch(target, { method: 'PUT', headers, body: bytes })
      if (!answer.ok) return false
      const hash = hashOf(bytes)
      ledger.saved({ hash, writer: 'cloud', path: key, how: 'put', size: bytes.length })
      ledger.witnessed(hash, key)
      return true
    } catch {
      return false
    }
  }
  const history = async (): Promise<readonly Version[]> => {
    const found: Version[] = []
    for (let after = ''; ;) {
      const query = new URLSearchParams({ versions: 'true', deleted: 'true', limit: '1000', after })
      const answer = await fetch(`${base}/blobs?${query}`, { headers })
      if (!answer.ok) throw new Error(`the listing was answered with ${answer.status}: ${await answer.text()}`)
      const page = (await answer.json()) as { items: Version[]; complete: boolean; next?: string }
      found.push(...page.items)
      if (page.complete) return found
      after = page.next ?? ''
    }
  }
  const follow = async (since: string, signal: AbortSignal, onCursor: (cursor: string) => void): Promise<void> => {
    const query = new URLSearchParams({ live: 'true', ...(since === '' ? {} : { since }) })
    const answer = await fetch(`${base}/changes?${query}`, { headers, signal })
    if (!answer.ok || answer.body === null) throw new Error(`the changes were answered with ${answer.status}`)
    let rest = ''
    for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') continue
        const item = JSON.parse(line) as { type: string; hash?: string; key?: string; cursor?: string }
        if (item.type === 'bookmark' && item.cursor !== undefined) onCursor(item.cursor)
        if (item.type === 'put' && item.hash !== undefined) ledger.witnessed(item.hash, item.key ?? '')
      }
    }
  }
  const witness = async (signal: AbortSignal): Promise<void> => {
    let cursor = ''
    while (!signal.aborted) {
      try {
        await follow(cursor, signal, (next) => (cursor = next))
      } catch {
        // A server that was killed: on from the last bookmark.
      }
      await sleep(100)
    }
  }
  return { edit, history, witness }
}
