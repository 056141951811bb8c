import type { Coverage } from './coverage.ts'
import { actionTypes, CALLS } from './history.ts'
import { FALLIBLE } from './life.ts'
import { SITUATIONS } from './table.ts'

/** What has to come in many histories: every row of the table, every kind of fault, every action. By the beginning of its name. */
const expected = (): readonly string[] => [
  ...SITUATIONS,
  ...actionTypes().map((type) => `action: ${type}`),
  ...CALLS.filter((call) => FALLIBLE.has(call)).map((call) => `fault: ${call} says`),
  ...CALLS.flatMap((call) => [`kill: before ${call}`, `kill: after ${call}`]),
  'kill: server: before ',
  'kill: server: after ',
  'fault: server: ',
  'power: unsynced writes vanished',
  'power: unsynced writes of the server vanished',
  'network: request lost',
  'network: answer lost',
  'network: message delayed',
  'network: listing truncated',
  'network: stream cut',
  'network: commit to server doubled',
  'network: stage doubled',
  'network: push doubled',
  'network: feed cut',
  'watch: event ',
  'wire: delayed',
  'wire: cut while ',
  'wire: nothing listens',
  'wire: no way',
  'wire: request doubled',
  'event: brake',
  'event: conflict',
  'event: relinked',
  'event: renamed',
  'event: resurrected',
  'event: mode',
  'event: skipped',
  'event: failed',
]

const FORGOTTEN =
  'a bucket that forgot a path is listed anew, and what was agreed on goes with that, before anything is planned'
const OLDER = 'a bucket that went back in time is listed anew before anything is planned'
const SWEPT = 'a tombstone that neither side follows is not kept'

/** What cannot come, and why. */
const EXCUSED: Readonly<Record<string, string>> = {
  'row: agreed; disk: nothing; bucket: never was': FORGOTTEN,
  'row: agreed; disk: unknown; bucket: never was': FORGOTTEN,
  'row: agreed; disk: as agreed; bucket: never was': FORGOTTEN,
  'row: agreed; disk: something else; bucket: never was': FORGOTTEN,
  'row: agreed; disk: nothing; bucket: older': OLDER,
  'row: agreed; disk: unknown; bucket: older': OLDER,
  'row: agreed; disk: as agreed; bucket: older': OLDER,
  'row: agreed; disk: something else; bucket: older': OLDER,
  'row: new; disk: nothing; bucket: deleted': SWEPT,
}

/** Names of what was expected and never came. */
export function missing(coverage: Coverage): readonly string[] {
  const seen = coverage.entries().map(([name]) => name)
  return expected().filter((wanted) => EXCUSED[wanted] === undefined && !seen.some((name) => name.startsWith(wanted)))
}

/** Why something need not come; undefined: it must. */
export function excuseOf(name: string): string | undefined {
  return EXCUSED[name]
}

/** Names of what is excused and came all the same: the reason does not hold. */
export function wronglyExcused(coverage: Coverage): readonly string[] {
  const seen = new Set(coverage.entries().map(([name]) => name))
  return Object.keys(EXCUSED).filter((name) => seen.has(name))
}
