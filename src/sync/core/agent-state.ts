/** Why nothing is done until someone, or something outside, acts. */
export type Suspension =
  | 'root-missing'
  | 'root-unreadable'
  | 'other-root'
  | 'unauthenticated'
  | 'forbidden'
  | 'bucket-gone'
  | 'other-bucket'
  | 'quota-exceeded'
  | 'not-supported'

/**
 * What the agent is doing. `again`: something changed meanwhile, so this cycle's end starts another. `braked`: some deletes wait
 * for a yes. Both are kept through what interrupts a cycle only as far as the table says; a new start looks at everything anyway.
 */
export type AgentState =
  /** Proving that the folder and the bucket are the ones that belong together. */
  | { readonly name: 'starting' }
  | { readonly name: 'scanning'; readonly again: boolean }
  | { readonly name: 'syncing'; readonly again: boolean }
  | { readonly name: 'idle' }
  | { readonly name: 'waiting-for-approval' }
  | { readonly name: 'offline' }
  | { readonly name: 'suspended'; readonly reason: Suspension }
  /** `until`: milliseconds since 1970; null: until someone resumes it. */
  | { readonly name: 'paused'; readonly until: number | null }
  /** Last: nothing leads out of it. */
  | { readonly name: 'stopping' }

export type AgentEvent =
  | { readonly type: 'proved' }
  | { readonly type: 'scanned' }
  /** The plan is done. `settled`: nothing is left; `braked`: only deletes that wait for a yes; `unsettled`: look again. */
  | { readonly type: 'settled' }
  | { readonly type: 'braked' }
  | { readonly type: 'unsettled' }
  /** Something may have changed on either side. */
  | { readonly type: 'changed' }
  /** Someone approved or rejected. */
  | { readonly type: 'decided' }
  | { readonly type: 'disconnected' }
  | { readonly type: 'connected' }
  | { readonly type: 'suspended'; readonly reason: Suspension }
  /** The cause of the suspension may be gone. */
  | { readonly type: 'recovered' }
  | { readonly type: 'paused'; readonly until: number | null }
  | { readonly type: 'resumed' }
  | { readonly type: 'stopped' }

type StateName = AgentState['name']
type EventType = AgentEvent['type']

/** What a cell may say: stay as is, remember to go round again, or go to a state; those with a payload only from the event that brings it. */
type Plain = Exclude<StateName, 'suspended' | 'paused'>
type Cell<E extends EventType> = 'stay' | 'again' | Plain | (E extends 'suspended' | 'paused' ? E : never)

const NOWHERE = {
  starting: 'stay',
  scanning: 'stay',
  syncing: 'stay',
  idle: 'stay',
  'waiting-for-approval': 'stay',
  offline: 'stay',
  suspended: 'stay',
  paused: 'stay',
  stopping: 'stay',
} as const

const TABLE: { readonly [E in EventType]: Readonly<Record<StateName, Cell<E>>> } = {
  proved: { ...NOWHERE, starting: 'scanning' },
  scanned: { ...NOWHERE, scanning: 'syncing' },
  settled: { ...NOWHERE, syncing: 'idle' },
  braked: { ...NOWHERE, syncing: 'waiting-for-approval' },
  unsettled: { ...NOWHERE, syncing: 'scanning' },
  changed: { ...NOWHERE, scanning: 'again', syncing: 'again', idle: 'scanning', 'waiting-for-approval': 'scanning' },
  decided: { ...NOWHERE, scanning: 'again', syncing: 'again', idle: 'scanning', 'waiting-for-approval': 'scanning' },
  disconnected: {
    ...NOWHERE,
    starting: 'offline',
    scanning: 'offline',
    syncing: 'offline',
    idle: 'offline',
    'waiting-for-approval': 'offline',
  },
  connected: { ...NOWHERE, offline: 'starting' },
  suspended: {
    starting: 'suspended',
    scanning: 'suspended',
    syncing: 'suspended',
    idle: 'suspended',
    'waiting-for-approval': 'suspended',
    offline: 'suspended',
    suspended: 'suspended',
    paused: 'stay',
    stopping: 'stay',
  },
  recovered: { ...NOWHERE, suspended: 'starting' },
  paused: {
    starting: 'paused',
    scanning: 'paused',
    syncing: 'paused',
    idle: 'paused',
    'waiting-for-approval': 'paused',
    offline: 'paused',
    suspended: 'paused',
    paused: 'paused',
    stopping: 'stay',
  },
  resumed: { ...NOWHERE, paused: 'starting' },
  stopped: {
    starting: 'stopping',
    scanning: 'stopping',
    syncing: 'stopping',
    idle: 'stopping',
    'waiting-for-approval': 'stopping',
    offline: 'stopping',
    suspended: 'stopping',
    paused: 'stopping',
    stopping: 'stay',
  },
}

export const INITIAL_STATE: AgentState = { name: 'starting' }

/** The state after `event`. Total: an event that means nothing in a state leaves it as it is. */
export function nextState(state: AgentState, event: AgentEvent): AgentState {
  if (event.type === 'suspended') {
    return TABLE.suspended[state.name] === 'stay' ? state : { name: 'suspended', reason: event.reason }
  }
  if (event.type === 'paused') {
    return TABLE.paused[state.name] === 'stay' ? state : { name: 'paused', until: event.until }
  }
  return enter(state, TABLE[event.type][state.name])
}

// An end of a cycle that must go round again starts the next one, whatever else it would have led to.
function enter(state: AgentState, cell: 'stay' | 'again' | Plain): AgentState {
  const again = (state.name === 'scanning' || state.name === 'syncing') && state.again
  switch (cell) {
    case 'stay':
      return state
    case 'again':
      return state.name === 'scanning' || state.name === 'syncing' ? { name: state.name, again: true } : state
    case 'scanning':
      return { name: 'scanning', again: false }
    case 'syncing':
      return { name: 'syncing', again }
    case 'idle':
    case 'waiting-for-approval':
      return again ? { name: 'scanning', again: false } : { name: cell }
    default:
      return { name: cell }
  }
}
