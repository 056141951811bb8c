import { openRotatedFile, type RotatedFile } from '../platform/rotated-file.ts'
import type { Output } from './output.ts'

const MAX_BYTES = 16 * 1024 * 1024
const KEPT = 4

/** The audit log of a server that the command runs: 16 MiB, and four older ones of that size. Throws errno errors. */
export function openAuditFile(path: string, output: Pick<Output, 'alert'>): RotatedFile {
  return openRotatedFile({
    path,
    maxBytes: MAX_BYTES,
    keep: KEPT,
    lost: (count) => `${JSON.stringify({ action: 'lost', count })}\n`,
    onFailure: ({ message }) => output.alert(`the audit log cannot be written: ${message}`),
  })
}
