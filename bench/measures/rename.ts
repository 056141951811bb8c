import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { GIB } from '../data.ts'
import { atMost, OURS } from '../figures.ts'
import { makeTree } from '../data.ts'
import { serve } from '../server.ts'
import { openWire } from '../wire.ts'

const FILES = 10_000
const BYTES = Math.floor(GIB / FILES)
const WHAT = 'rename of a folder of 1 GiB in 10,000 files'

/** A large folder gets another name: here, and then at a second machine. */
export async function measureRename(bench: Bench): Promise<void> {
  const served = await serve(bench)
  const wire = await openWire(served.server.url)
  const [one, two] = [served.client('one'), served.client('two')]
  const [here, there] = [join(one.home, 'folder'), join(two.home, 'folder')]
  makeTree(join(here, 'name-0'), FILES, BYTES)
  const url = `${wire.url}/bench`
  for (const [machine, folder] of [
    [one, here],
    [two, there],
  ] as const) {
    await machine.must(['sync', folder, url, '--quiet'])
  }
  wire.take()
  const content: number[] = []
  const sent: number[] = []
  await bench.race({
    id: 'rename.time',
    what: WHAT,
    contenders: [
      {
        name: OURS,
        before: (run) => renameSync(join(here, `name-${run}`), join(here, `name-${run + 1}`)),
        act: async () => void (await one.must(['sync', here, '--quiet'])),
        after: () => {
          const taken = wire.take()
          content.push(taken.content)
          sent.push(taken.sent)
        },
      },
      {
        name: `${OURS}, the second machine`,
        act: async () => void (await two.must(['sync', there, '--quiet'])),
        after: (run) => {
          wire.take()
          if (!existsSync(join(there, `name-${run + 1}`, 'folder-99'))) throw new Error('the rename did not arrive')
        },
      },
    ],
    targets: [atMost(1000, null), atMost(1000, null, `${OURS}, the second machine`)],
  })
  bench.report({
    id: 'rename.bytes',
    what: `${WHAT}: bytes sent`,
    unit: 'bytes',
    figures: [
      { name: 'content', values: content },
      { name: 'in all', values: sent },
    ],
    targets: [atMost(0, null, 'content')],
    notes: [],
  })
  wire.close()
  await served.stop()
}
