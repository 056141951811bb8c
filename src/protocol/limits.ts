const KiB = 1024
const MiB = 1024 * KiB

/** What one request may carry. A client that keeps to these is never refused for size. */
export const limits = {
  /** Request line and header fields together, bytes. */
  headerBytes: 32 * KiB,
  /** A JSON request body, bytes. */
  jsonBytes: 32 * MiB,
  /** Values in a JSON text, of any kind, and how deeply they may be nested. */
  jsonValues: 1_000_000,
  jsonDepth: 16,
  /** Items of one list, and names in one object, in a JSON text that a client sends. */
  jsonItems: 20_000,
  jsonNames: 1000,
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
  /** A page ends early when its items are this long together, bytes. */
  pageBytes: 16 * MiB,
  /** Names in a blob's metadata. */
  metaNames: 1000,
  /** Metadata of a blob, UTF-8 bytes of all names and values. */
  metaBytes: 8 * KiB,
  /** Author, device, operation: characters. */
  label: 256,
  /** Content type, characters. */
  contentType: 255,
  /** Time of an entry, milliseconds before or after 1970. */
  time: 8.64e15,
  /** Folders in one token. */
  tokenPrefixes: 100,
  /** Tokens revoked by one request. */
  tokenIds: 1000,
  /** A live feed is never silent for longer, milliseconds. */
  heartbeat: 15_000,
  /** A reader of a live feed takes the connection for dead after this silence, milliseconds. */
  silence: 45_000,
} as const

/** What a server waits for, in milliseconds, and what it takes at once. Beyond the counts it answers `Unavailable`, or not at all. */
export const bounds = {
  /** The head of a request must be there after this; so must a TLS handshake. */
  headers: 10_000,
  /** A request body may be silent for this long while the server waits for it. */
  bodyIdle: 30_000,
  /** A JSON body or one of frames must be there after this. */
  bodyTotal: 120_000,
  /** A streamed body slower than `slowest` on average is given up after this time of waiting. */
  bodyGrace: 60_000,
  /** Bytes a second. */
  slowest: 512,
  /** A streamed answer of which the other side takes nothing is given up after this. */
  unread: 60_000,
  /** Bodies that a commit names are read and checked for this long. */
  verify: 600_000,
  /** A connection without any traffic is closed after this. */
  silence: 600_000,
  /** An open connection may wait for its next request this long. */
  keepAlive: 65_000,
  /** A live feed says something at least this often. */
  heartbeat: limits.heartbeat,
  /** A stopping server waits this long for what it is working on. */
  stop: 10_000,
  /** What a client has seen elsewhere, and a place that does not answer, is waited for this long. */
  reach: 2000,
  /** Bytes of request bodies held at once, over all requests; chunks have memory of their own. */
  bodies: 256 * MiB,
  /** The same for one token. */
  bodiesPerToken: 160 * MiB,
  /** Bytes of memory for chunks that wait to be stored, over all requests; who finds none left waits for others. */
  staging: 48 * MiB,
  /** The same for one token. */
  stagingPerToken: 40 * MiB,
  /** It waits this long. */
  stagingWait: 30_000,
  /** Requests of one token under way, live feeds among them. */
  requestsPerToken: 1024,
  /** Requests of one token a second, over time. */
  requestsPerSecond: 1000,
  /** Requests of one token that may come at once after a while without any. */
  requestBurst: 10_000,
  /** Tokens that were never good, from one address, within `badTokensWindow` milliseconds of the first. */
  badTokens: 20,
  badTokensWindow: 60_000,
  connections: 4096,
  /** From one address. */
  connectionsPerAddress: 2048,
} as const
