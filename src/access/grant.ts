/** What a token may do to the blobs of its bucket; `admin` also configures and removes the bucket, and makes tokens. */
export type Capability = 'read' | 'write' | 'delete' | 'admin'
export const CAPABILITIES: readonly Capability[] = ['read', 'write', 'delete', 'admin']

/** What a verified token allows. */
export interface Grant {
  /** The token's id: its `jti`, or one made from the token itself when it has none. Safe to log. */
  readonly id: string
  /** Who it was made for; '' when it does not say. */
  readonly name: string
  /** One bucket, or `*` for all. */
  readonly bucket: string
  /** Keys it is confined to, without a trailing `/`; null for the whole bucket. */
  readonly prefixes: readonly string[] | null
  readonly can: readonly Capability[]
  /** Milliseconds since 1970, or null for never. */
  readonly expires: number | null
  /** Milliseconds since 1970, or null when the token does not say. */
  readonly issued: number | null
  /** Names the secret that it was signed with. */
  readonly key: string
}

export function isCapabilities(value: unknown): value is readonly Capability[] {
  return Array.isArray(value) && value.every((one) => CAPABILITIES.some((known) => known === one))
}

/** Whether the grant is about this bucket at all. */
export function covers(grant: Grant, bucket: string): boolean {
  return grant.bucket === '*' || grant.bucket === bucket
}

/** Whether it allows the capability somewhere in the bucket. */
export function mayIn(grant: Grant, capability: Capability, bucket: string): boolean {
  return covers(grant, bucket) && grant.can.includes(capability)
}

export function mayRead(grant: Grant, bucket: string, key: string): boolean {
  return mayIn(grant, 'read', bucket) && within(grant, key)
}

export function mayWrite(grant: Grant, bucket: string, key: string): boolean {
  return mayIn(grant, 'write', bucket) && within(grant, key)
}

export function mayDelete(grant: Grant, bucket: string, key: string): boolean {
  return mayIn(grant, 'delete', bucket) && within(grant, key)
}

/** Whether it may read every key of the bucket. */
export function mayReadAll(grant: Grant, bucket: string): boolean {
  return mayIn(grant, 'read', bucket) && grant.prefixes === null
}

/** Configure or remove the bucket; a grant that is confined to prefixes never may. */
export function mayAdmin(grant: Grant, bucket: string): boolean {
  return mayIn(grant, 'admin', bucket) && grant.prefixes === null
}

/** Make the bucket with default options: its admin, or who may write and holds a token for exactly this bucket. */
export function mayCreate(grant: Grant, bucket: string): boolean {
  return mayAdmin(grant, bucket) || (grant.bucket === bucket && grant.can.includes('write'))
}

/** Prefixes match whole segments: `a/b` holds `a/b` and all below `a/b/`, never `a/bc`. */
function within(grant: Grant, key: string): boolean {
  return grant.prefixes === null || grant.prefixes.some((prefix) => key === prefix || key.startsWith(`${prefix}/`))
}
