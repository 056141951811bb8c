import { isBlobsError, type BlobsError, type ErrorCode } from '../store/contract/errors.ts'
import type { BlobInfo, Conflict } from '../store/contract/types.ts'
import { plain, relativeTime } from './format.ts'

/** What a person or a script is told about a failure. `code` is an `ErrorCode`, an errno, `Usage`, `Partial`, `Interrupted` or `Internal`. */
export interface ErrorView {
  readonly code: string
  readonly message: string
  /** The next step, or ''. */
  readonly hint: string
  readonly exitCode: number
  readonly retryable: boolean
  readonly key?: string
  /** For a version conflict: what stands there now. */
  readonly current?: BlobInfo | null
}

/** One item of a command that failed while others did not: `name` is the path, key or target as the user knows it. */
export interface Failure {
  readonly name: string
  readonly error: unknown
}

/** Some items of a command failed; the others are done. Exit 3, or the cause's own code when all failed for one cause. */
export class PartialFailure extends Error {
  readonly failures: readonly Failure[]
  readonly done: number

  constructor(failures: readonly Failure[], done: number) {
    super(`${failures.length} of ${failures.length + done} failed`)
    this.name = 'Partial'
    this.failures = failures
    this.done = done
  }
}

/** A signal ended the command before it was done. */
export class Interrupted extends Error {
  readonly exitCode: number

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated')
    this.name = 'Interrupted'
    this.exitCode = signal === 'SIGINT' ? 130 : 143
  }
}

const EXIT: Record<ErrorCode, number> = {
  NotFound: 6,
  VersionConflict: 7,
  AlreadyExists: 7,
  Unauthenticated: 4,
  Forbidden: 5,
  Unavailable: 8,
  Corrupt: 9,
  TooLarge: 10,
  QuotaExceeded: 10,
  NotSupported: 1,
  CursorExpired: 1,
  CursorForked: 1,
  InvalidKey: 2,
  InvalidRequest: 2,
  Refused: 12,
}

const LABEL: Readonly<Record<string, string>> = {
  NotFound: 'not found',
  VersionConflict: 'conflict',
  AlreadyExists: 'already exists',
  Unauthenticated: 'not signed in',
  Forbidden: 'not allowed',
  Unavailable: 'unavailable',
  Corrupt: 'corrupt',
  TooLarge: 'too large',
  QuotaExceeded: 'no space',
  NotSupported: 'not supported',
  CursorExpired: 'history is gone',
  CursorForked: 'history differs',
  InvalidKey: 'usage',
  InvalidRequest: 'usage',
  Refused: 'refused',
  Usage: 'usage',
  Partial: 'partly done',
  ENOENT: 'not found',
  ENOSPC: 'no space',
  EDQUOT: 'no space',
}

const HINT: Readonly<Record<string, string>> = {
  NotFound: 'what there is: blobs ls',
  VersionConflict: 'look at what is there now: blobs history TARGET',
  NotSupported: 'a newer version of blobs may do it',
  CursorExpired: 'start anew, without a cursor',
  CursorForked: 'start anew, without a cursor: the store went back in time',
  InvalidKey: 'a key is up to 1024 bytes of UTF-8 text, with single slashes between its folders',
  InvalidRequest: 'how it is meant: blobs help COMMAND',
  Refused: 'nothing was changed',
  ENOTDIR: 'check the path',
  AlreadyExists: 'use the one that is there, or choose another name',
  Unauthenticated:
    'sign in: blobs login SERVER · or give a token: BLOBS_TOKEN, BLOBS_TOKEN_FILE, --token-file FILE or --token-stdin',
  Forbidden: "ask the server's operator for a token that allows this",
  Unavailable: 'try again; is the server running and the address right?',
  Corrupt: 'the bytes were not handed out; restore the store from a backup or put the blob again',
  TooLarge: "the bucket's limit: blobs bucket set BUCKET --max-blob-size SIZE",
  QuotaExceeded: 'make room, then try again',
  ENOENT: 'check the name; a path is relative to the current folder',
  EACCES: 'check the permissions (ls -l)',
  EPERM: 'check the permissions (ls -l)',
  EISDIR: 'add -r to take a folder with everything in it',
  ENOSPC: 'make room on the disk, then try again; nothing was half written',
  EDQUOT: 'make room on the disk, then try again; nothing was half written',
  EADDRINUSE: 'another program listens there: choose another --port, or 0 for a free one',
  EADDRNOTAVAIL: 'this machine does not have that address: see --host',
}

const ERRNO_TEXT: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the disk is read-only',
  ENAMETOOLONG: 'the name is too long for this disk',
  ELOOP: 'it is a symbolic link',
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address is not available',
  EMFILE: 'too many open files',
}

const ERRNO_EXIT: Readonly<Record<string, number>> = {
  ENOENT: 6,
  EISDIR: 2,
  ENOSPC: 10,
  EDQUOT: 10,
  ECONNREFUSED: 8,
  ECONNRESET: 8,
  ETIMEDOUT: 8,
  ENOTFOUND: 8,
  EAI_AGAIN: 8,
  EHOSTUNREACH: 8,
  ENETUNREACH: 8,
  SQLITE_BUSY: 8,
  SQLITE_FULL: 10,
}

/** What to tell about anything that was thrown. `now` is in milliseconds since 1970; `command` is the words that were run, for the hint of a usage error. */
export function viewError(error: unknown, now: number, command: string): ErrorView {
  if (isBlobsError(error)) return viewBlobsError(error, now)
  if (error instanceof PartialFailure) return viewPartial(error, now, command)
  if (error instanceof Interrupted) {
    return { code: 'Interrupted', message: error.message, hint: '', exitCode: error.exitCode, retryable: true }
  }
  const usage = usageMessage(error)
  if (usage !== null) {
    const hint = command === '' ? 'blobs --help' : `blobs ${command} --help`
    return { code: 'Usage', message: usage, hint, exitCode: 2, retryable: false }
  }
  const errno = errnoOf(error)
  if (errno !== null) return viewErrno(error as NodeJS.ErrnoException, errno)
  const message = error instanceof Error ? error.message : String(error)
  const hint = 'this should not happen; run it again with BLOBS_DEBUG=1 and report what it says'
  return { code: 'Internal', message: redact(message), hint, exitCode: 1, retryable: false }
}

/** The lines for stderr: what happened, and after an arrow what to do. */
export function errorText(view: ErrorView): string {
  const label = LABEL[view.code] ?? 'error'
  const head = view.code === 'Interrupted' ? view.message : `${label}: ${view.message}`
  return view.hint === '' ? head : `${head}\n→ ${view.hint}`
}

/** The `error` of the JSON error document. */
export function errorJson(view: ErrorView): Record<string, unknown> {
  const { key, current, ...rest } = view
  return { ...rest, ...(key === undefined ? {} : { key }), ...(current === undefined ? {} : { current }) }
}

/** `team/report.pdf is at version 5 (yours was 3), changed 2 min ago by laptop` */
function describeConflict(conflict: Conflict, bucket: string, now: number): string {
  const name = plain(bucket === '' ? conflict.key : `${bucket}/${conflict.key}`)
  const { current, expected } = conflict
  const yours = typeof expected === 'object' ? expected.version : null
  if (current === null) return `${name} does not exist${yours === null ? '' : ` (yours was version ${yours})`}`
  const who = current.device || current.author
  const by = who === '' ? '' : ` by ${plain(who)}`
  // Of what is in no log of ours nobody knows.
  const changed = current.modified === '' ? '' : `${relativeTime(Date.parse(current.modified), now)}${by}`
  if (current.deleted) {
    return `${name} was deleted ${changed}${yours === null ? '' : ` (yours was version ${yours}, the deletion is ${current.version})`}`
  }
  const last = changed === '' ? '' : `, changed ${changed}`
  if (yours === null) return `${name} already exists at version ${current.version}${last}`
  return `${name} is at version ${current.version} (yours was ${yours})${last}`
}

function viewBlobsError(error: BlobsError, now: number): ErrorView {
  const conflict = error.conflicts[0]
  const bucket = error.bucket ?? conflict?.current?.bucket ?? ''
  const more = error.conflicts.length - 1
  const message = conflict
    ? `${describeConflict(conflict, bucket, now)}${more > 0 ? `, and ${more} more` : ''}`
    : plain(unwrapped(error.message))
  const key = error.key ?? conflict?.key
  return {
    code: error.code,
    message: redact(message),
    hint: redact(plain(hintOf(error))),
    exitCode: EXIT[error.code],
    retryable: error.retryable,
    ...(key === undefined ? {} : { key }),
    ...(conflict ? { current: conflict.current } : {}),
  }
}

function hintOf(error: BlobsError): string {
  return error.hint ?? HINT[error.code] ?? ''
}

function viewPartial(error: PartialFailure, now: number, command: string): ErrorView {
  const views = error.failures.map((failure) => viewError(failure.error, now, command))
  const [first] = views
  const oneCause = error.done === 0 && first !== undefined && views.every((view) => view.exitCode === first.exitCode)
  if (oneCause && views.length === 1) return first
  return {
    code: 'Partial',
    message: error.message,
    hint: 'what failed is named above; running the same command again is safe',
    exitCode: oneCause ? first.exitCode : 3,
    retryable: views.some((view) => view.retryable),
  }
}

function viewErrno(error: NodeJS.ErrnoException, errno: string): ErrorView {
  const text = ERRNO_TEXT[errno]
  const place = error.path ?? addressOf(error)
  const message = text === undefined ? error.message : place === '' ? text : `${place}: ${text}`
  const exitCode = ERRNO_EXIT[errno] ?? 1
  return {
    code: errno,
    message: redact(plain(message)),
    hint: HINT[errno] ?? 'check the path and its permissions',
    exitCode,
    retryable: exitCode === 8,
  }
}

function addressOf(error: NodeJS.ErrnoException): string {
  const { address, port } = error as { address?: unknown; port?: unknown }
  return typeof address === 'string' ? `${address}:${String(port)}` : ''
}

function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  const code = (error as NodeJS.ErrnoException).code
  return typeof code === 'string' && /^(E[A-Z0-9_]+|SQLITE_[A-Z_]+)$/.test(code) && code !== 'EEXIT' ? code : null
}

// oclif's own errors (flags, arguments, unknown commands) carry an exit code; their words become ours.
function usageMessage(error: unknown): string | null {
  if (!(error instanceof Error) || !('oclif' in error)) return null
  if ('args' in error && Array.isArray(error.args) && error.message.startsWith('Missing')) {
    const names = error.args.map((arg: { name: string }) => arg.name.toUpperCase())
    return `missing ${names.join(' and ')}`
  }
  const text = unwrapped(error.message)
    .replace(/^The following errors? occurred:\s*/, '')
    .replace(/^Nonexistent flags?: /, 'there is no flag ')
    .replace(/^(--\S+)=true cannot also be provided when using (--\S+)$/, '$1 and $2 do not go together')
    .replace(/^Exactly one of the following must be provided: (\S+), (\S+)$/, 'give either $1 or $2')
    .trim()
  return text.charAt(0).toLowerCase() + text.slice(1)
}

// What oclif puts around the message of a flag's parser.
function unwrapped(message: string): string {
  return message.replace(/\n?See more help with --help/g, '').replace(/^Parsing (--\S+) \n\t/, '$1: ')
}

// A token is never put into a message; this is the second lock.
function redact(text: string): string {
  return text.replaceAll(/\beyJ[\w-]+\.[\w-]+(\.[\w-]+)?/g, '(token)')
}
