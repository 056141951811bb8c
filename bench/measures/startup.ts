import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Contender } from '../bench.ts'
import { makeTree } from '../data.ts'
import { atMost, type Target } from '../figures.ts'
import { system } from '../programs.ts'
import { PROGRAM } from '../../scripts/harness.ts'
import { serve } from '../server.ts'

const RUNS = 25
const BARE = 'bare node'

/** From the start of a process to its end. */
export async function measureStartup(bench: Bench): Promise<void> {
  const empty = join(bench.place.folder, 'empty.cjs')
  writeFileSync(empty, '')
  const hundred = join(bench.place.folder, 'hundred')
  makeTree(hundred, 100, 100)
  const served = await serve(bench)
  const embedded = bench.machine('home')
  const client = served.client('client')
  for (const machine of [embedded, client]) {
    await machine.must(['bucket', 'create', 'first'])
    await machine.must(['put', '--recursive', join(hundred, 'folder-0'), 'first/', '--quiet'])
  }
  const ours = (name: string, args: readonly string[], { env } = embedded): Contender => ({
    name,
    act: () => system(process.execPath, [PROGRAM, ...args], { env }),
  })
  const bare: Contender = { name: `${BARE}`, act: () => system(process.execPath, [empty], { env: embedded.env }) }
  const row = (id: string, what: string, blobs: Contender, target: Target): Promise<void> =>
    bench.wants(id)
      ? bench.race({
          id,
          what,
          runs: RUNS,
          contenders: [
            bare,
            blobs,
            { name: 'rclone version', needs: 'rclone', act: () => system('rclone', ['version']) },
          ],
          targets: [target],
        })
      : Promise.resolve()
  await row('startup.version', '`blobs --version`', ours('blobs', ['--version']), atMost(3, BARE))
  await row('startup.ls', '`blobs ls` of 100 blobs, embedded', ours('blobs', ['ls', 'first/']), atMost(4.5, BARE))
  await row(
    'startup.ls-server',
    '`blobs ls` of 100 blobs, by a server',
    ours('blobs', ['ls', 'first/'], client),
    atMost(4.5, BARE),
  )
}
