import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { atLeast, atMost, OURS } from '../figures.ts'
import { RCLONE_ENV } from '../peers/rclone.ts'
import { unison } from '../peers/unison.ts'
import { system } from '../programs.ts'
import { syncedTree, type Synced } from '../synced.ts'

const FEW = 10_000
const MANY = 100_000

/** A new process, and nothing to do. */
export async function measureIdle(bench: Bench): Promise<void> {
  if (bench.wants('idle.10k')) {
    const synced = await syncedTree(bench, { files: FEW })
    const { folder } = synced
    const copy = join(bench.place.folder, 'copy')
    await system('cp', ['-a', folder, copy])
    const rsync = { name: 'rsync -a', needs: 'rsync', act: () => system('rsync', ['-a', `${folder}/`, copy]) }
    await bench.race({
      id: 'idle.10k',
      what: 'sync of 10,000 files with nothing to do',
      contenders: [
        ours(synced),
        rsync,
        {
          name: 'Unison',
          needs: 'unison',
          before: (run) => (run === 0 ? unison(bench.place.folder, folder, copy) : undefined),
          act: () => unison(bench.place.folder, folder, copy),
        },
        {
          name: 'rclone sync, local',
          needs: 'rclone',
          act: () => system('rclone', ['sync', folder, copy], { env: RCLONE_ENV }),
        },
      ],
      targets: [atMost(1.5, 'Unison')],
      runs: 9,
    })
    await synced.served.stop()
  }
  if (bench.wants('idle.100k')) {
    const synced = await syncedTree(bench, { files: MANY })
    await bench.race({
      id: 'idle.100k',
      what: 'sync of 100,000 files with nothing to do',
      unit: 'per second',
      contenders: [
        {
          name: OURS,
          act: async () => {
            const started = performance.now()
            await ours(synced).act(0)
            return MANY / ((performance.now() - started) / 1000)
          },
        },
      ],
      targets: [atLeast(60_000, null)],
    })
    await synced.served.stop()
  }
}

function ours({ machine, folder }: Synced): { name: string; act: (run: number) => Promise<void> } {
  return { name: OURS, act: async () => void (await machine.must(['sync', folder, '--quiet'])) }
}
