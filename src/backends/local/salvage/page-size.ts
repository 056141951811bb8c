/** Bytes in a page of store.db. */
export const PAGE = 4096
