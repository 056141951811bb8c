import type { Appended } from './appends.ts'
import type { Feeds } from './feeds.ts'
import type { Fronts } from './fronts.ts'
import type { Grown } from './growth.ts'
import type { Viewed } from './view.ts'

/** How a figure is called, and how it reads for one of those that are compared. */
type Line<T> = readonly [name: string, tell: (one: T) => string]

const GROWTH: readonly Line<Grown>[] = [
  ['log, bytes a key', ({ logBytes, keys }) => number(logBytes / keys)],
  ['view, bytes a key', ({ viewBytes, keys }) => number(viewBytes / keys)],
  ['checkpoint, bytes a key', ({ checkpointBytes, keys }) => number(checkpointBytes / keys)],
  ['a server without a view reads the whole log', ({ catchUp }) => time(catchUp)],
  ['processor time of that, a key', ({ catchUpCpu, keys }) => `${number((catchUpCpu * 1e6) / keys)} µs`],
  ['a checkpoint is written', ({ checkpoint }) => time(checkpoint)],
  ['a new server, with a checkpoint: listens', ({ fresh }) => time(fresh.start)],
  ['its first listing', ({ fresh }) => `${time(fresh.firstList)}, ${kib(fresh.firstListBytes)}`],
  ['its first put', ({ fresh }) => `${time(fresh.firstPut)}, ${kib(fresh.firstPutBytes)}`],
  ['its puts all over the bucket', ({ fresh }) => time(fresh.put)],
  ['its listings of 1000 keys', ({ fresh }) => time(fresh.list)],
  ['its memory', ({ fresh }) => `${number(fresh.memory)} MiB`],
  [
    'a new server, 400 puts behind the checkpoint: its first listing',
    ({ late }) => `${time(late.firstList)}, ${kib(late.firstListBytes)}`,
  ],
  ['a server with its view: listens', ({ settled }) => time(settled.start)],
  ['its first listing', ({ settled }) => `${time(settled.firstList)}, ${kib(settled.firstListBytes)}`],
  ['its puts', ({ settled }) => time(settled.put)],
  ['its gets', ({ settled }) => time(settled.get)],
  ['its listings of 1000 keys', ({ settled }) => time(settled.list)],
  ['its memory', ({ settled }) => `${number(settled.memory)} MiB`],
]

const VIEW: readonly Line<Viewed>[] = [
  ['on disk, bytes a key', ({ bytes, keys }) => number(bytes / keys)],
  ['a key is looked up', ({ find }) => time(find)],
  ['a folder of 1000 is listed', ({ list }) => time(list)],
  ['an entry is read into it, median', ({ apply }) => time(apply)],
  ['99 % of them', ({ applyMost }) => time(applyMost)],
  ['memory of the process', ({ memory }) => `${number(memory)} MiB`],
]

const APPENDS: readonly Line<Appended>[] = [
  ['an entry, one after the other', ({ append }) => time(append)],
  ['entries of 64 writers, a second', ({ appendsPerSecond }) => number(appendsPerSecond)],
  ['processor time for one of them, ours and the servers’', ({ appendsCpu }) => time(appendsCpu)],
  ['bytes of an entry; on each disk', ({ entryBytes, entryOnDisk }) => `${number(entryBytes)}; ${number(entryOnDisk)}`],
  ['a chunk of 64 KiB, one after the other', ({ chunk }) => time(chunk)],
  ['chunks of 64 KiB, in calls of 8 MiB', ({ chunkMiBPerSecond }) => `${number(chunkMiBPerSecond)} MiB/s`],
  ['one of them on each disk', ({ chunkOnDisk }) => `${kib(chunkOnDisk)}`],
  ['chunks of 1 KiB, in calls of 500, a second', ({ smallPerSecond }) => number(smallPerSecond)],
  ['one of them on each disk', ({ smallOnDisk }) => `${number(smallOnDisk)} bytes`],
  [
    'memory of a server for 1000 chunks it has',
    ({ chunkMemory }) => (chunkMemory > 0 ? `${number(chunkMemory)} KiB` : '–'),
  ],
]

const FEEDS: readonly Line<Feeds>[] = [
  ['memory of a feed', ({ memory }) => `${number(memory)} KiB`],
  ['processor while nothing happens', ({ idleCpu }) => `${number(idleCpu)} %`],
  ['a put is answered', ({ answered }) => time(answered)],
  ['half of the feeds told it', ({ half }) => time(half)],
  ['99 % told it', ({ most }) => time(most)],
  ['all told it', ({ all }) => time(all)],
  ['processor time of the server for it', ({ putCpu }) => time(putCpu)],
  ['of that for one feed', ({ putCpu, feeds }) => `${number((putCpu * 1000) / feeds)} µs`],
]

const FRONTS: readonly Line<Fronts>[] = [
  ['answered a second', ({ perSecond }) => number(perSecond)],
  ['p50', ({ p50 }) => time(p50)],
  ['p99', ({ p99 }) => time(p99)],
  ['failures', ({ failures }) => number(failures)],
  ['processor a request: `blobs serve`', ({ cpu }) => time(cpu.servers)],
  ['NATS, all three nodes', ({ cpu }) => time(cpu.nats)],
  ['nginx', ({ cpu }) => time(cpu.nginx)],
  ['who asks', ({ cpu }) => time(cpu.load)],
  ['memory of a server', ({ memory }) => `${number(memory)} MiB`],
]

export function growthTable(all: readonly Grown[]): string {
  const name = ({ keys, entries }: Grown): string =>
    `${number(keys)} keys, ${keys === entries ? 'an entry each' : `${number(keys / entries)} an entry`}`
  return table('', all, name, GROWTH)
}

export function viewTable(all: readonly Viewed[]): string {
  return table('a view by itself', all, ({ keys }) => `${number(keys)} keys`, VIEW)
}

export function appendsTable(all: readonly Appended[]): string {
  return table('', all, ({ place }) => place, APPENDS)
}

export function feedsTable(all: readonly Feeds[]): string {
  return table('live feeds of one bucket', all, ({ feeds }) => number(feeds), FEEDS)
}

export function frontsTable(all: readonly Fronts[]): string {
  const name = ({ fronts, mix, rate }: Fronts): string =>
    `${mix}, ${fronts} server${fronts === 1 ? '' : 's'}${rate === null ? '' : `, ${rate} a second`}`
  return table('', all, name, FRONTS)
}

/** In Markdown: a column for each of those that are compared. */
function table<T>(corner: string, all: readonly T[], name: (one: T) => string, lines: readonly Line<T>[]): string {
  const rows = lines.map(([what, tell]) => [what, ...all.map(tell)])
  return [[corner, ...all.map(name)], ['---', ...all.map(() => '---')], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}

function time(milliseconds: number): string {
  if (milliseconds >= 10_000) return `${(milliseconds / 1000).toFixed(0)} s`
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`
  return milliseconds >= 100 ? `${milliseconds.toFixed(0)} ms` : `${Number(milliseconds.toPrecision(2))} ms`
}

function kib(bytes: number): string {
  return `${number(bytes / 1024)} KiB`
}

function number(value: number): string {
  const rounded = value >= 100 ? Math.round(value) : Number(value.toPrecision(2))
  return rounded.toLocaleString('en-US')
}
