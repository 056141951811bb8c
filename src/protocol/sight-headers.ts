/** Of a request: the last place in the bucket's history that its sender knows of. */
export const SEEN = 'x-blobs-seen'
/** Of an answer: the place in the history that it has seen. */
export const STANDS = 'x-blobs-cursor'
/** Of an answer that may be stale: seconds since it was known to be none. */
export const STALE = 'x-blobs-stale'
