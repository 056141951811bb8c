import { CALLS, type Action, type History } from './history.ts'
import { historyWith } from './kinds.ts'
import { FALLIBLE } from './life.ts'
import type { Deed } from './person.ts'

/** What an agent does when it makes this call. */
const WHEN: Readonly<Record<string, string>> = {
  copy: 'a copy there',
  setModified: 'a copy there',
  rmdir: 'a move there',
  chmod: 'an executable bit there',
  stage: 'a large new file here',
  missing: 'a large new file here',
  'commit to server': 'a new file here',
  listing: 'a lost state',
  mkdir: 'an empty folder there',
  renameNew: 'a new file there',
}

/** Histories in which each thing comes that is too rare to be left to chance: every fault of every call, and every row of the table. */
export function directedHistories(): readonly History[] {
  return [...faults(), ...rows(), ...storms(), ...brakes()]
}

function faults(): History[] {
  return CALLS.flatMap((call) => {
    const kind = WHEN[call] ?? 'an edit on both sides'
    const aim = { device: 0, at: 1, among: call } as const
    const kill = { type: 'kill', ...aim, power: true } as const
    const all = [historyWith(kind, { ...kill, done: false }, true), historyWith(kind, { ...kill, done: true }, true)]
    if (FALLIBLE.has(call)) all.push(historyWith(kind, { type: 'error', ...aim }, true))
    return all
  })
}

const sync = (device: number): Action[] => [
  { type: 'sync', device },
  { type: 'rest', device },
]
const deed = (device: number, one: Deed): Action => ({ type: 'deed', device, deed: one })
const write = (text: string): Deed => ({ type: 'write', path: 'x', text, style: 'rename' })

/** What becomes of a file here that both sides agreed on, or that is new. */
const HERE: readonly (readonly Action[])[] = [
  [],
  [deed(0, { type: 'remove', path: 'x' })],
  [deed(0, { type: 'chmod', path: 'x', mode: 0 })],
  [deed(0, write('edited here'))],
]

function rows(): History[] {
  const agreed = [deed(0, write('base of x')), ...sync(0), ...sync(1), ...sync(0)]
  return HERE.flatMap((here) => [
    // The same bytes again, two versions later.
    world([
      ...agreed,
      deed(1, write('edited')),
      ...sync(1),
      deed(1, write('base of x')),
      ...sync(1),
      ...here,
      ...sync(0),
    ]),
    world([...agreed, deed(1, write('edited there')), ...sync(1), ...here, ...sync(0)]),
    world([...agreed, deed(1, { type: 'remove', path: 'x' }), ...sync(1), ...here, ...sync(0)]),
    // Made here and there, and deleted there again while nothing could be done about it here.
    world([
      deed(1, write('made there')),
      ...sync(1),
      deed(0, write('made here')),
      ...here,
      { type: 'error', device: 0, among: 'link', at: 1 },
      { type: 'rest', device: 0 },
      deed(1, { type: 'remove', path: 'x' }),
      ...sync(1),
      ...sync(0),
    ]),
    // The server goes back to what was before our last word to it, of which we heard no more than that it was taken.
    ...[1, 2, 3, 4, 5, 6].map((at) =>
      world([
        ...agreed,
        { type: 'back up server' },
        deed(0, write('lost by the server')),
        { type: 'kill', device: 0, among: 'commit', at, done: true, power: false },
        { type: 'rest', device: 0 },
        { type: 'restore server' },
        ...here,
        ...sync(0),
      ]),
    ),
  ])
}

/** Hardly a message arrives as it was sent, and the server fails and dies. */
function storms(): History[] {
  return Array.from({ length: 12 }, (_, n): History => {
    const death: Action = { type: 'kill server', at: 1 + (n % 3), done: n % 2 === 0, power: true }
    const actions: Action[] = [
      deed(0, write(`base ${'.'.repeat(n * 15_000)}`)),
      ...sync(0),
      { type: 'network', rate: 0.35 },
      ...sync(1),
      deed(1, write('edited')),
      ...sync(1),
      ...sync(0),
      n % 3 === 0 ? { type: 'server error', at: 1 + (n % 2) } : death,
      deed(0, { type: 'write', path: 'y', text: 'new', style: 'rename' }),
      ...sync(0),
      { type: 'start server' },
      ...sync(1),
      ...sync(0),
    ]
    return { ...world(actions), seed: n, retries: true, backend: 'local' }
  })
}

/** What waits for a yes, and what an edit brings back. */
function brakes(): History[] {
  const none = { type: 'kill', device: 0, among: 'writes', at: 1000, done: false, power: false } as const
  return ['deletions here after a yes', 'an edit here of what is deleted there', 'an executable bit here'].map((kind) =>
    historyWith(kind, none, true),
  )
}

function world(actions: readonly Action[]): History {
  return { seed: 1, devices: 2, caseBlind: false, canExchange: true, retries: false, actions }
}
