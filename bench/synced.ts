/** A folder that is in sync with a bucket already: where measures of what comes later begin. */
import { join } from 'node:path'
import type { Machine } from '../scripts/harness.ts'
import type { Bench } from './bench.ts'
import { makeTree } from './data.ts'
import { serve, type Served } from './server.ts'

export interface Synced {
  readonly folder: string
  readonly url: string
  readonly machine: Machine
  readonly served: Served
}

/** `via` gives the URL that the folder is synced by, for one that looks at what passes. */
export async function syncedTree(
  bench: Bench,
  { files, bytes = 4096, via = (url) => url }: { files: number; bytes?: number; via?: (url: string) => string },
): Promise<Synced> {
  const served = await serve(bench, `server-${files}`)
  const machine = served.client(`client-${files}`)
  const folder = join(machine.home, 'folder')
  makeTree(folder, files, bytes)
  const url = `${via(served.server.url)}/bench`
  await machine.must(['sync', folder, url, '--quiet'])
  return { folder, url, machine, served }
}
