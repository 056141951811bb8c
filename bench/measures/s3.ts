import { join } from 'node:path'
import { lacksGateway, startGateway, type Gateway } from '../../test/backends/radosgw.ts'
import type { Bench, Contender } from '../bench.ts'
import { makeFile, makeTree, MIB, remove } from '../data.ts'
import { OURS } from '../figures.ts'
import { RCLONE_ENV } from '../peers/rclone.ts'
import { system } from '../programs.ts'

const FILES = 1000
const FILE_BYTES = 4096
const LARGE = 64 * MIB
const RUNS = 3

/** Trees and a large file to Ceph's gateway for S3 and back, by `s3://` and by others. */
export async function measureS3(bench: Bench): Promise<void> {
  const lacks = lacksGateway()
  if (lacks !== null) {
    const note = `not measured: ${lacks}`
    bench.report({ id: 's3.tree-up', what: 'S3', unit: 'ms', figures: [], targets: [], notes: [note] })
    return
  }
  const gateway = await startGateway()
  try {
    await measureAll(bench, gateway)
  } finally {
    await gateway.stop()
  }
}

async function measureAll(bench: Bench, gateway: Gateway): Promise<void> {
  const tree = join(bench.place.folder, 'tree')
  const large = join(bench.place.folder, 'large.bin')
  makeTree(tree, FILES, FILE_BYTES)
  makeFile(large, LARGE)
  const works: readonly Work[] = [
    { id: 's3.tree', what: `${FILES.toLocaleString('en-US')} × 4 KiB`, source: tree, isTree: true },
    { id: 's3.large', what: `${LARGE / MIB} MiB`, source: large, isTree: false },
  ]
  for (const work of works) {
    if (!bench.wants(work.id)) continue
    const ways = waysOf(bench, gateway, work)
    const contenders = (pick: 'up' | 'down'): Contender[] => ways.map((way) => ({ ...way, ...way[pick] }))
    await bench.race({
      id: `${work.id}-up`,
      what: `${work.what} to S3`,
      runs: RUNS,
      contenders: contenders('up'),
    })
    await bench.race({
      id: `${work.id}-down`,
      what: `${work.what} from S3`,
      runs: RUNS,
      contenders: contenders('down'),
    })
  }
}

interface Work {
  readonly id: string
  readonly what: string
  readonly source: string
  readonly isTree: boolean
}
interface Way {
  readonly name: string
  readonly needs?: string
  readonly up: Pick<Contender, 'before' | 'act'>
  readonly down: Pick<Contender, 'before' | 'act'>
}

/** Each run goes to an S3 bucket of its own; what is got is what was put last. */
function waysOf(bench: Bench, gateway: Gateway, work: Work): Way[] {
  const copy = join(bench.place.folder, `copy-of-${work.id}`)
  const machine = bench.machine(`s3-${work.id}`, { ...gateway.env })
  const other = bench.machine(`s3-${work.id}-other`, { ...gateway.env })
  const way: MakeWay = (name, needs, up, down, prepare) => {
    let bucket = ''
    return {
      name,
      ...(needs === null ? {} : { needs }),
      up: {
        before: async () => {
          remove(join(work.source, '.blobs'))
          bucket = await gateway.makeBucket()
          await prepare?.(bucket)
        },
        act: () => up(bucket),
      },
      down: { before: () => (remove(copy), remove(join(other.home, '.local', 'share'))), act: () => down(bucket) },
    }
  }
  const url = (bucket: string): string => `s3://${bucket}/bench?endpoint=${gateway.url}`
  const key = (bucket: string): string => `s3://${bucket}/bench/file.bin?endpoint=${gateway.url}`
  const ours = work.isTree
    ? way(
        OURS,
        null,
        async (bucket) => void (await machine.must(['sync', work.source, url(bucket), '--quiet'])),
        async (bucket) => void (await other.must(['sync', copy, url(bucket), '--quiet'])),
      )
    : way(
        OURS,
        null,
        async (bucket) => void (await machine.must(['put', work.source, key(bucket), '--quiet'])),
        async (bucket) => void (await other.must(['get', key(bucket), copy, '--quiet'])),
        async (bucket) => void (await machine.must(['bucket', 'create', url(bucket)])),
      )
  return [ours, rclone(gateway, work, copy, way), aws(gateway, work, copy, way)]
}

type Act = (bucket: string) => Promise<void>
type MakeWay = (name: string, needs: string | null, up: Act, down: Act, prepare?: Act) => Way

/** rclone does not start where somebody has set authorities of his own, though it speaks plain HTTP here. */
const NO_BUNDLE = { AWS_CA_BUNDLE: '' }

function rclone({ url, env }: Gateway, { source, isTree }: Work, copy: string, way: MakeWay): Way {
  const flags = ['--s3-provider', 'Ceph', '--s3-env-auth', '--s3-endpoint', url, '--s3-no-check-bucket']
  const run = (from: string, to: string): Promise<void> =>
    system('rclone', [isTree ? 'copy' : 'copyto', from, to, ...flags], { env: { ...RCLONE_ENV, ...env, ...NO_BUNDLE } })
  const place = (bucket: string): string => `:s3:${bucket}/${isTree ? 'tree' : 'file.bin'}`
  return way(
    'rclone',
    'rclone',
    (bucket) => run(source, place(bucket)),
    (bucket) => run(place(bucket), copy),
  )
}

function aws({ url, env }: Gateway, { source, isTree }: Work, copy: string, way: MakeWay): Way {
  const more = { ...env, AWS_DEFAULT_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true' }
  const run = (from: string, to: string): Promise<void> =>
    system(
      'aws',
      ['--endpoint-url', url, 's3', 'cp', '--only-show-errors', ...(isTree ? ['--recursive'] : []), from, to],
      { env: more },
    )
  const place = (bucket: string): string => `s3://${bucket}/${isTree ? 'tree' : 'file.bin'}`
  return way(
    'aws s3 cp',
    'aws',
    (bucket) => run(source, place(bucket)),
    (bucket) => run(place(bucket), copy),
  )
}
