import type { Action, History } from './history.ts'
import type { Deed } from './person.ts'

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
  readonly here?: readonly Deed[]
  readonly there?: readonly Deed[]
  /** Before both sides hold the same. */
  readonly first?: readonly Deed[]
  /** Between what each side does and the death. */
  readonly before?: readonly Action[]
  /** What the first device is doing when it dies, if not a sync. */
  readonly doing?: Action
  readonly after?: readonly Deed[]
  readonly more?: Partial<History>
}

const remove = (path: string): Deed => ({ type: 'remove', path })
const conflict: Kind = { here: [write('x', 'edited here')], there: [write('x', 'edited there')], before: sync(0) }
const carefully: Partial<History> = { maxDelete: { count: 0 } }

export const KINDS: Readonly<Record<string, Kind>> = {
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
  'a copy there': { first: [write('large', bytes)], there: [write('copy', bytes)] },
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
  'a file here in the place of a folder': { here: [remove('d'), write('d', 'a file now')] },
  'a folder here in the place of a file': { here: [remove('x'), write('x/inner', 'inside')] },
  'files that have each other’s names here': { here: [{ type: 'swap', path: 'x', to: 'd/y' }] },
  'files that have each other’s names there': { there: [{ type: 'swap', path: 'x', to: 'd/y' }] },
  'another time of a file here': { here: [{ type: 'touch', path: 'x', at: 0 }] },
  'a moved folder with an edit here': { here: [{ type: 'move', path: 'd', to: 'e' }, write('e/y', 'edited')] },
  'a moved folder there with an edit here': {
    here: [write('d/y', 'edited here')],
    there: [{ type: 'move', path: 'd', to: 'e' }],
  },
  'another case of a name there': {
    there: [{ type: 'move', path: 'x', to: 'X' }],
    more: { caseBlind: true },
  },
  'another case of a name here': {
    here: [{ type: 'move', path: 'd/y', to: 'd/Y' }],
    more: { caseBlind: true },
  },
  'names there that are one here': { there: [write('X', 'a twin')], more: { caseBlind: true } },
  'new rules here': { here: [write('.blobsignore', 'd/\n'), write('d/y', 'left alone')] },
  'new rules there': { here: [write('d/y', 'left alone')], there: [write('.blobsignore', 'd/\n')] },
  'new rules there, and edits there of what they leave alone': {
    here: [write('x', 'edited here')],
    there: [write('.blobsignore', 'x\n'), write('x', 'edited there')],
  },
  'rules that go here': {
    first: [write('.blobsignore', 'd/\nx\n')],
    here: [write('x', 'left alone'), remove('.blobsignore')],
    there: [write('x', 'left alone there')],
  },
  'rules that go there': {
    first: [write('.blobsignore', 'd/\n')],
    here: [write('d/z', 'left alone')],
    there: [remove('.blobsignore')],
  },
  'a conflict that is resolved for mine': { ...conflict, doing: { type: 'resolve', device: 0, keep: 'mine' } },
  'a conflict that is resolved for theirs': { ...conflict, doing: { type: 'resolve', device: 0, keep: 'theirs' } },
  'a conflict that is resolved for both': { ...conflict, doing: { type: 'resolve', device: 0, keep: 'both' } },
  'a yes to deletions here': {
    here: [remove('x'), remove('d')],
    before: sync(0),
    doing: { type: 'decide', device: 0, yes: true },
    more: carefully,
  },
  'a no to deletions here': {
    here: [remove('x'), remove('d')],
    before: sync(0),
    doing: { type: 'decide', device: 0, yes: false },
    more: carefully,
  },
  'deletions here after a yes': {
    here: [remove('x'), remove('d')],
    before: [...sync(0), { type: 'decide', device: 0, yes: true }, { type: 'rest', device: 0 }],
    more: carefully,
  },
  'what comes back after a no to deletions here': {
    here: [remove('x'), remove('d')],
    before: [...sync(0), { type: 'decide', device: 0, yes: false }, { type: 'rest', device: 0 }],
    more: carefully,
  },
  'deletions there after a yes': {
    there: [remove('x'), remove('d')],
    before: [
      { type: 'decide', device: 1, yes: true },
      ...sync(1),
      ...sync(1),
      ...sync(0),
      { type: 'decide', device: 0, yes: true },
      { type: 'rest', device: 0 },
    ],
    more: carefully,
  },
  'a lost state': {
    here: [write('x', 'edited here'), write('n', 'new')],
    there: [write('d/y', 'edited there')],
    before: [{ type: 'lose state', device: 0 }],
  },
  'a server that went back in time': {
    here: [write('x', 'edited here')],
    there: [write('d/y', 'edited there')],
    before: [
      { type: 'back up server' },
      deed(1, write('m', 'lost')),
      ...sync(1),
      ...sync(0),
      { type: 'restore server' },
    ],
  },
  'a bucket that is made anew': {
    here: [write('x', 'edited here')],
    before: [{ type: 'recreate bucket' }],
  },
  'a file there that somebody here has open': {
    here: [{ type: 'open', path: 'x' }],
    there: [write('x', 'edited there')],
    after: [{ type: 'write to what is open', text: 'written late' }],
  },
}

/** A history in which everything of the kind happens, and the fault while the first device acts on it. */
export function historyWith(
  kind: string,
  fault: Extract<Action, { readonly type: 'kill' | 'error' }>,
  canExchange: boolean,
): History {
  const { here = [], there = [], first = [], before = [], doing, after = [], more = {} } = KINDS[kind] ?? {}
  const base = [write('x', 'base of x'), write('d/y', 'base of y'), ...first]
  const actions: Action[] = [
    ...base.map((one) => deed(0, one)),
    ...sync(0),
    ...sync(1),
    ...sync(0),
    ...there.map((one) => deed(1, one)),
    ...sync(1),
    ...here.map((one) => deed(0, one)),
    ...before,
    ...(doing === undefined ? [fault] : [{ ...fault, waits: true }, doing]),
    { type: 'rest', device: 0 },
    ...after.map((one) => deed(0, one)),
  ]
  return { seed: 1, devices: 2, caseBlind: false, canExchange, retries: false, actions, ...more }
}
