const SECOND = 1000

/** How long a server waits for what, in milliseconds, and how much it takes at once. */
export interface Bounds {
  /** The head of a request must be there after this. */
  readonly headers: number
  /** A request body may be silent for this long while the server waits for it. */
  readonly bodyIdle: number
  /** A JSON body or one of frames must be there after this. */
  readonly bodyTotal: number
  /** A streamed body slower than `slowest` on average is given up after this time of waiting. */
  readonly bodyGrace: number
  /** Bytes a second. */
  readonly slowest: number
  /** A connection without any traffic is closed after this. */
  readonly silence: number
  /** An open connection may wait for its next request this long. */
  readonly keepAlive: number
  /** A live feed says something at least this often. */
  readonly heartbeat: number
  /** A stopping server waits this long for what it is working on. */
  readonly stop: number
  /** Bytes of request bodies held at once, over all requests. */
  readonly bodies: number
  readonly connections: number
}

export const defaultBounds: Bounds = {
  headers: 10 * SECOND,
  bodyIdle: 30 * SECOND,
  bodyTotal: 120 * SECOND,
  bodyGrace: 60 * SECOND,
  slowest: 512,
  silence: 600 * SECOND,
  keepAlive: 65 * SECOND,
  heartbeat: 15 * SECOND,
  stop: 10 * SECOND,
  bodies: 512 * 1024 * 1024,
  connections: 4096,
}
