import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import type { Action, History } from './history.ts'
import type { Deed } from './person.ts'
import { failureOf } from './run.ts'

const write = (path: string, text: string, style: 'rename' | 'in place' = 'rename'): Deed => ({
  type: 'write',
  path,
  text,
  style,
})
const deed = (device: number, one: Deed): Action => ({ type: 'deed', device, deed: one })
const sync = (device: number): Action[] => [
  { type: 'sync', device },
  { type: 'rest', device },
]
const bytes = 'b'.repeat(100_000)

/** What each side does once both hold the same; the first device has yet to sync, dies while it does, and its person goes on. */
interface Kind {
  readonly here: readonly Deed[]
  readonly there: readonly Deed[]
  readonly after?: readonly Deed[]
}

const KINDS: Readonly<Record<string, Kind>> = {
  'a new file here': { here: [write('d/new', 'new')], there: [] },
  'a large new file here': { here: [write('large', bytes)], there: [] },
  'an edit here': { here: [write('x', 'edited here')], there: [] },
  'a deletion here': { here: [{ type: 'remove', path: 'x' }], there: [] },
  'a move here': { here: [{ type: 'move', path: 'd', to: 'e' }], there: [] },
  'an executable bit here': { here: [{ type: 'chmod', path: 'x', mode: 0o755 }], there: [] },
  'an empty folder here': { here: [{ type: 'mkdir', path: 'empty' }], there: [] },
  'a new file there': { here: [], there: [write('d/new', 'new')] },
  'a large new file there': { here: [], there: [write('large', bytes)] },
  'an edit there': { here: [], there: [write('x', 'edited there')] },
  'a deletion there': { here: [], there: [{ type: 'remove', path: 'd/y' }] },
  'a move there': { here: [], there: [{ type: 'move', path: 'd', to: 'e' }] },
  'an executable bit there': { here: [], there: [{ type: 'chmod', path: 'x', mode: 0o755 }] },
  'an empty folder there': { here: [], there: [{ type: 'mkdir', path: 'empty' }] },
  'an edit on both sides': { here: [write('x', 'edited here')], there: [write('x', 'edited there')] },
  'the same edit on both sides': { here: [write('x', 'edited')], there: [write('x', 'edited')] },
  'a file made on both sides': { here: [write('n', 'here')], there: [write('n', 'there')] },
  'an edit here of what is deleted there': { here: [write('x', 'edited')], there: [{ type: 'remove', path: 'x' }] },
  'a deletion here of what is edited there': { here: [{ type: 'remove', path: 'x' }], there: [write('x', 'edited')] },
  'a folder there in the place of a file': {
    here: [write('x', 'edited here')],
    there: [{ type: 'remove', path: 'x' }, write('x/inner', 'inside')],
  },
  'a file there in the place of a folder': {
    here: [],
    there: [{ type: 'remove', path: 'd' }, write('d', 'a file now')],
  },
  'an edit there, and one here after the death': {
    here: [],
    there: [write('x', 'edited there')],
    after: [write('x', 'edited again')],
  },
  'an edit there, and one here in place after the death': {
    here: [],
    there: [write('x', 'edited there')],
    after: [write('x', 'edited again', 'in place')],
  },
  'a new file there, and an edit of it here after the death': {
    here: [],
    there: [write('n', 'made there')],
    after: [write('n', 'edited again')],
  },
  'an edit on both sides, and one here after the death': {
    here: [write('x', 'edited here')],
    there: [write('x', 'edited there')],
    after: [write('x', 'edited again')],
  },
}

function historyWith(
  kind: string,
  at: number,
  death: { done: boolean; power: boolean; canExchange: boolean },
): History {
  const { here = [], there = [], after = [] } = KINDS[kind] ?? {}
  const { done, power, canExchange } = death
  const base = [deed(0, write('x', 'base of x')), deed(0, write('d/y', 'base of y'))]
  const actions: Action[] = [
    ...base,
    ...sync(0),
    ...sync(1),
    ...sync(0),
    ...there.map((one) => deed(1, one)),
    ...sync(1),
    ...here.map((one) => deed(0, one)),
    { type: 'kill', device: 0, at, among: 'writes', done, power },
    { type: 'rest', device: 0 },
    ...after.map((one) => deed(0, one)),
  ]
  return { seed: at, devices: 2, caseBlind: false, canExchange, retries: false, actions }
}

test.each(Object.keys(KINDS))(
  'killed at any effect of a sync, with the power or without, an agent that starts anew keeps every law: %s',
  { timeout: 120_000 },
  async (kind) => {
    for (const canExchange of [true, false]) {
      for (const power of [true, false]) {
        for (let at = 1, killed = true; killed; at++) {
          // Before an effect is after the one before it.
          for (const done of at === 1 ? [false, true] : [true]) {
            const coverage = openCoverage()
            const failure = await failureOf(historyWith(kind, at, { done, power, canExchange }), coverage)
            expect(failure, `killed ${done ? 'after' : 'before'} write ${at}, power ${power}`).toBeNull()
            killed = coverage.entries().some(([name]) => name.startsWith('kill: '))
          }
          if (!killed) expect(at).toBeGreaterThan(3)
        }
      }
    }
  },
)
