import { createCipheriv } from 'node:crypto'

/** Bytes that look random and are the same each time. */
export function noise(length: number, seed = 1): Buffer {
  const key = Buffer.alloc(32, seed)
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}
