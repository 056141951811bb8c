import type { FastifyReply } from 'fastify'
import { mayAdmin, mayDelete, mayWrite } from '../access/grant.ts'
import { decodeText, etagOf, metaFromHeaders } from '../protocol/blob-headers.ts'
import { limits } from '../protocol/limits.ts'
import { commitRequest, contentType, entryId, hash, label } from '../protocol/messages.ts'
import { type Check, Malformed } from '../protocol/schema.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import type { BlobInfo, EntryInput, Expectation, Outcome } from '../store/contract/types.ts'
import { type Staged, stageStream } from '../store/contract/upload.ts'
import { type Call, forbid, readJson, sendJson, useBucket, useBucketToWrite, withBody, withinReason } from './call.ts'
import { type Condition, writeCondition } from './conditions.ts'
import { readQuery } from './query.ts'
import { ownOutcomes } from './scope.ts'

/** What cutting a stream holds, beside the memory for chunks. */
const STREAM_HELD = 2 * 1024 * 1024

/** What the answer to one change of a commit may hold in memory. */
const ANSWER_HELD = limits.metaBytes

/** `PUT` of a blob: takes its bytes, then commits them as its next version. Nothing is committed of a body that is not whole. */
export async function putBlob(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const { bucket, key, request } = call
  checkKey(key)
  if (!mayWrite(call.grant, bucket, key)) forbid(call, `write ${bucket}/${key}`)
  const condition = conditionOf(call)
  const claimed = header(call, 'x-blobs-sha256', hash)
  const meta = metaFromHeaders(request.headers)
  const type = header(call, 'content-type', contentType) ?? 'application/octet-stream'
  const entry = entryOf(call)
  const info = await useBucketToWrite(call, async (_confined, store) => {
    const expect = await expectation(call, store, condition)
    const { maxBlobSize = Number.MAX_SAFE_INTEGER } = (await store.info()).options
    const rules = { maxBytes: maxBlobSize, held: STREAM_HELD, lent: true }
    const staged = await withBody(call, rules, (body) =>
      stageStream(store, body, { slabs: call.context.memory.of(call.grant.id) }),
    )
    refuseOther(call, staged, claimed)
    return commitOne(call, store, {
      ...entry,
      changes: [{ type: 'put', key, expect, contentType: type, meta, ...staged }],
    })
  })
  if (info === undefined)
    throw new BlobsError('Unavailable', `${bucket}/${key} was written, and its version is not known`)
  call.reply.header('etag', etagOf(info)).header('x-blobs-version', info.version)
  return sendJson(call.reply, info, info.version === 1 ? 201 : 200)
}

/** `DELETE` of a blob: its next version is a tombstone. */
export async function deleteBlob(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const { bucket, key } = call
  checkKey(key)
  if (!mayDelete(call.grant, bucket, key)) forbid(call, `delete ${bucket}/${key}`)
  const condition = conditionOf(call)
  const entry = entryOf(call)
  const info = await useBucket(call, async (_confined, store) => {
    const expect = await expectation(call, store, condition)
    return commitOne(call, store, { ...entry, changes: [{ type: 'delete', key, expect }] })
  })
  // A delete of what is not there changes nothing, so no version is its own.
  if (info?.entry !== entry.id) throw new BlobsError('NotFound', `there is no ${bucket}/${key}`, { bucket, key })
  return call.reply.code(204).header('etag', etagOf(info)).header('x-blobs-version', info.version).send()
}

/** `POST …/commit`: entries, each atomic by itself. */
export async function commitEntries(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  if (!['write', 'delete'].some((act) => call.grant.can.some((can) => can === act)))
    forbid(call, `write to ${call.bucket}`)
  const { entries } = await readJson(call, commitRequest)
  const changes = entries.reduce((sum, entry) => sum + entry.changes.length, 0)
  if (changes > limits.changes) throw new Malformed('entries', `more than ${limits.changes} changes`)
  const hasPast = entries.some((entry) => 'time' in entry)
  if (hasPast && !mayAdmin(call.grant, call.bucket)) forbid(call, `copy a history into ${call.bucket}`)
  const authored = entries.map((entry) => ('time' in entry ? entry : { ...entry, author: call.grant.name }))
  // What stands at its keys is told of each change, also of one that fails: such an answer is longer than its request.
  const release = call.context.budget.take(call.grant.id, changes * ANSWER_HELD)
  try {
    const outcomes = await withinReason(call, (signal) =>
      useBucketToWrite(call, (store) => store.commit(authored, { verify: true, signal })),
    )
    for (const [index, outcome] of outcomes.entries()) auditEntry(call, entries[index], outcome)
    return sendJson(call.reply, { outcomes })
  } finally {
    release()
  }
}

function auditEntry({ bucket, audit }: Call, entry: Pick<EntryInput, 'changes'> | undefined, outcome: Outcome): void {
  const versions = new Map(outcome.ok ? outcome.blobs.map(({ key, version }) => [key, version]) : [])
  for (const { type, key } of entry?.changes ?? []) {
    const version = versions.get(key)
    const result = outcome.ok ? 'ok' : 'VersionConflict'
    audit({ action: type, bucket, key, ...(version === undefined ? {} : { version }), result })
  }
}

function conditionOf({ request }: Call): Condition {
  return writeCondition(request.headers['if-match'], request.headers['if-none-match'])
}

/** A header's value by its check; undefined when it was not sent. */
function header(call: Call, name: string, check: Check<string>): string | undefined {
  const value = call.request.headers[name]
  return value === undefined ? undefined : check(value, name)
}

function entryOf(call: Call): Omit<EntryInput, 'changes'> & { readonly id: string } {
  const encoded: Check<string> = (value, path) => label(decodeText(String(value)), path)
  const device = header(call, 'x-blobs-device', encoded)
  const operation = header(call, 'x-blobs-operation', encoded)
  return {
    id: header(call, 'x-blobs-entry', entryId) ?? call.context.newId(),
    author: call.grant.name,
    ...(device === undefined ? {} : { device }),
    ...(operation === undefined ? {} : { operation }),
  }
}

/** The condition as the store compares it. Looks at the current version at once, so that no body is taken in vain. */
async function expectation({ key }: Call, store: BlobStore, condition: Condition): Promise<Expectation> {
  if (condition === 'any') return 'any'
  const current = await store.head(key)
  if (condition === 'absent') {
    if (current === null || current.deleted) return 'absent'
    throw conflict(key, 'absent', current)
  }
  const { version, entry } = condition
  if (current?.version !== version || (entry !== null && !current.entry.startsWith(entry))) {
    throw conflict(key, { version }, current)
  }
  return entry === null ? { version } : { version, hash: current.deleted ? current.entry : current.hash }
}

function conflict(key: string, expected: Expectation, current: BlobInfo | null): BlobsError {
  const stands =
    current === null ? 'was never there' : current.deleted ? 'was deleted' : `is at version ${current.version}`
  return new BlobsError('VersionConflict', `${key} ${stands}`, { key, conflicts: [{ key, expected, current }] })
}

function refuseOther({ bucket, key }: Call, { hash }: Staged, claimed: string | undefined): void {
  if (claimed === undefined || claimed === hash) return
  throw new BlobsError('Corrupt', `the bytes that came have the SHA-256 ${hash}, not ${claimed}`, { bucket, key })
}

/** The version that the entry's only change made; undefined if it made none. */
async function commitOne(call: Call, store: BlobStore, entry: EntryInput): Promise<BlobInfo | undefined> {
  const [outcome] = ownOutcomes(call.grant, [entry], await store.commit([entry]), call.bucket)
  if (outcome?.ok) return outcome.blobs[0]
  const [first] = outcome?.conflicts ?? []
  if (first) throw conflict(first.key, first.expected, first.current)
  throw new BlobsError('Unavailable', `the store did not say what became of ${call.bucket}/${call.key}`)
}
