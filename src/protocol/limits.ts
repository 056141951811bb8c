const KiB = 1024
const MiB = 1024 * KiB

/** What one request may carry. A client that keeps to these is never refused for size. */
export const limits = {
  /** Request line and header fields together, bytes. */
  headerBytes: 32 * KiB,
  /** A JSON request body, bytes. */
  jsonBytes: 32 * MiB,
  /** A body of frames sent to `chunks`, bytes. */
  framesBytes: 16 * MiB,
  /** One chunk in a frame, bytes. */
  chunkBytes: 1 * MiB,
  /** Frames in one body sent to `chunks`. */
  chunks: 4096,
  /** Hashes in one `chunks/missing`. */
  hashes: 10_000,
  /** Blobs in one `fetch`. */
  wants: 1000,
  /** Entries in one `commit`. */
  entries: 1000,
  /** Changes in one `commit`, over all its entries. */
  changes: 20_000,
  /** References at the top of a body. */
  refs: 16,
  /** Levels of a body. */
  depth: 3,
  /** Items and prefixes in one page of a listing. */
  page: 10_000,
  /** The same when each item carries the digests of its history. */
  digestsPage: 1000,
  /** Names in a blob's metadata. */
  metaNames: 1000,
  /** Metadata of a blob, UTF-8 bytes of all names and values. */
  metaBytes: 8 * KiB,
  /** Author, device, operation: characters. */
  label: 256,
  /** Content type, characters. */
  contentType: 255,
  /** A live feed is never silent for longer, milliseconds. */
  heartbeat: 15_000,
  /** A reader of a live feed takes the connection for dead after this silence, milliseconds. */
  silence: 45_000,
} as const
