import { isBlobsError } from '../contract/errors.ts'
import type { Staged, Staging } from '../contract/upload.ts'
import type { ForeignItem } from './foreign.ts'
import type { Parts } from './standing.ts'

/** Stages the bytes of an item; null if it is not whole. */
export async function readWhole(
  { foreign, patience, warn }: Pick<Parts, 'foreign' | 'patience' | 'warn'>,
  staging: Staging,
  item: ForeignItem,
): Promise<Staged | null> {
  if (!patience.mayLook(item.tag)) return null
  try {
    const staged = await staging.add(foreign.read(item))
    if (item.size === null || staged.size === item.size) return staged
  } catch (error) {
    if (!isBlobsError(error, 'NotFound') && !isBlobsError(error, 'Corrupt')) throw error
  }
  patience.wasHalf(item.tag)
  warn(item.tag, `${item.key} is listed, but cannot be read as a whole yet: it is left as it was`)
  return null
}
