import type { FastifyReply } from 'fastify'
import { covers, type Grant, mayAdmin } from '../access/grant.ts'
import type { TokenRecord } from '../access/records.ts'
import { limits } from '../protocol/limits.ts'
import { parseTokenPath } from '../protocol/routes.ts'
import { Malformed } from '../protocol/schema.ts'
import { revokeRequest, rotateRequest, tokenRequest } from '../protocol/token-messages.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { type Call, forbid, readJson, sendJson } from './call.ts'
import { countParameter, readQuery, textParameter } from './query.ts'

/** `POST /v1/tokens`: makes one, for what the asking token administers. */
export async function createToken(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const asked = await readJson(call, tokenRequest)
  const { grant, context } = call
  if (!mayAdmin(grant, asked.bucket)) forbid(call, `make tokens for ${named(asked.bucket)}`)
  const expires = lifetime(call, asked.expires)
  const { expires: _, ...rest } = asked
  const { token, record } = await context.desk.create({ ...rest, ...(expires === null ? {} : { expires }) }, grant.id)
  call.audit({ action: 'token.create', bucket: record.bucket, subject: record.id, result: 'ok' })
  return sendJson(call.reply, { token, ...record }, 201)
}

/** What is made with a token ends with it at the latest: else who steals one for a day would have one for ever. */
function lifetime(call: Call, asked: string | undefined): number | null {
  const { expires: own } = call.grant
  if (asked === undefined) return own
  const time = Date.parse(asked)
  if (own !== null && time > own) forbid(call, 'make tokens that last longer than itself')
  return time
}

/** `GET /v1/tokens`: records of the tokens for what it administers, by id. */
export async function listTokens(call: Call): Promise<FastifyReply> {
  const { after, limit = 1000 } = readQuery(call.query, {
    after: textParameter,
    limit: countParameter(1, limits.page),
  })
  checkAdmin(call)
  const tokens: TokenRecord[] = []
  for await (const record of call.context.desk.list(after)) {
    if (!covers(call.grant, record.bucket)) continue
    if (tokens.length === limit) return sendJson(call.reply, { tokens, complete: false, next: tokens.at(-1)?.id })
    tokens.push(record)
  }
  return sendJson(call.reply, { tokens, complete: true })
}

/** `GET /v1/tokens/self`: what the asking token is. */
export async function getOwnToken(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const { id, name, bucket, prefixes, can, expires, issued } = call.grant
  return sendJson(call.reply, { id, name, bucket, prefixes, can, expires: time(expires), issued: time(issued) })
}

/** `GET /v1/tokens/{id}`. */
export async function getToken(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  checkAdmin(call)
  const id = parseTokenPath((call.request.url ?? '').split('?', 1)[0] ?? '')
  if (id === null) throw new Malformed('', 'the address has broken percent-encoding')
  const record = await call.context.desk.find(id)
  if (record === null || !covers(call.grant, record.bucket)) throw unknown(id)
  return sendJson(call.reply, record)
}

/** `POST /v1/tokens/revoke`: by ids, and by "issued before". Every token may revoke itself. */
export async function revokeTokens(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const { ids = [], made = false, issuedBefore, bucket } = await readJson(call, revokeRequest)
  const { grant, context } = call
  if (ids.length === 0 && issuedBefore === undefined) throw new Malformed('ids', 'missing, and so is issuedBefore')
  if (bucket !== undefined && issuedBefore === undefined) throw new Malformed('bucket', 'without issuedBefore')
  const target = bucket ?? grant.bucket
  if (issuedBefore !== undefined && !mayAdmin(grant, target)) forbid(call, `revoke the tokens of ${named(target)}`)
  for (const id of ids) await checkRevocable(call, id, made)
  const revoked = ids.length === 0 ? [] : await context.desk.revoke({ ids, made }, grant.id)
  if (issuedBefore !== undefined) await context.desk.revokeBefore(target, Date.parse(issuedBefore), grant.id)
  for (const id of revoked) call.audit({ action: 'token.revoke', subject: id, result: 'ok' })
  if (issuedBefore !== undefined)
    call.audit({ action: 'token.revoke-before', bucket: target, subject: issuedBefore, result: 'ok' })
  return sendJson(call.reply, { revoked })
}

/** `POST /v1/tokens/rotate`: a new secret for the whole server. */
export async function rotateSecret(call: Call): Promise<FastifyReply> {
  readQuery(call.query, {})
  const { keep } = await readJson(call, rotateRequest)
  if (!mayAdmin(call.grant, '*')) forbid(call, 'change the secret of the server')
  await call.context.desk.rotate(keep, call.grant.id)
  return call.reply.code(204).send()
}

/** Of a token that no record tells of, only who administers every bucket can know that it is his. */
async function checkRevocable(call: Call, id: string, made: boolean): Promise<void> {
  const { grant, context } = call
  if ((id === grant.id && !made) || mayAdmin(grant, '*')) return
  checkAdmin(call)
  const record = await context.desk.find(id)
  if (record === null || !mayAdmin(grant, record.bucket)) throw unknown(id)
}

function checkAdmin(call: Call): void {
  if (!mayAdmin(call.grant, call.grant.bucket)) forbid(call, 'see or revoke tokens')
}

function unknown(id: string): BlobsError {
  return new BlobsError('NotFound', `no token ${id} is known here`, { hint: 'see those there are: blobs token ls' })
}

function named(bucket: string): string {
  return bucket === '*' ? 'every bucket' : bucket
}

function time(milliseconds: Grant['expires']): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString()
}
