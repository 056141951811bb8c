/**
 * The model of one file and N devices (Hughes and others, "Mysteries of Dropbox"), as this engine has it: a test sees what people read and
 * write; what agents do in between is hidden, and is searched.
 *
 * In the paper a device is `fresh` when it has the newest value of the server, and `clean` when its own change was offered. Here `fresh` is
 * `base` being the newest version, and `clean` is `local` being the value of `base`. What is ours beyond the paper:
 * an edit beats a deletion without a conflict; the server's history tells an old copy from an edit; an agent may be killed between what
 * it did and writing that down; a save may come in the very instant of a replacement; and a conflict file is, until the other side's bytes
 * have its name, the same file under a second one.
 * The two rules that follow from the paper hold word for word: the same value on both sides is never a conflict, and missing never
 * becomes a conflict copy.
 */

/** What is in the file; null: it is missing. */
export type Value = string | null

interface Device {
  /** On disk. */
  readonly local: Value
  /** What was on disk when the agent last looked, if that was another value. */
  readonly offered?: Value
  /** The newest version that the agent has heard of, if there may be newer ones. */
  readonly heard?: number
  /** The version that disk and server last agreed on; 0: none. */
  readonly base: number
  /** What the base will be once it is written down; null: nothing is due. */
  readonly due: number | null
  /** What a conflict file holds that still is one file with the path. */
  readonly joined: Value
  /** What was taken off its name by mistake and is on its way back. */
  readonly aside: Value
}

/** One way that things may be now. */
export interface State {
  /** The server's versions, from 1; index 0 is the time before the first. */
  readonly log: readonly Value[]
  /** Values that were saved as conflict files, sorted. */
  readonly conflicts: readonly string[]
  readonly devices: readonly Device[]
}

/** What a test does and sees. */
export type Observation =
  | { readonly type: 'read'; readonly device: number; readonly found: Value }
  /** `found` is the value that the write replaced; `inPlace`: in the same file, under whatever other names. */
  | {
      readonly type: 'write'
      readonly device: number
      readonly value: Value
      readonly found: Value
      readonly inPlace: boolean
    }
  /** An agent was killed and starts again; `lost`: without the memory of what it agreed on. */
  | { readonly type: 'kill'; readonly device: number; readonly lost: boolean }
  /** All is quiet: every device shows this, and these conflict files. */
  | { readonly type: 'stable'; readonly shown: readonly Value[]; readonly conflicts: readonly string[] }

export function initialState(devices: number): State {
  const device: Device = { local: null, base: 0, due: null, joined: null, aside: null }
  return { log: [null], conflicts: [], devices: Array.from({ length: devices }, () => device) }
}

/** How things may be right after this was seen, if they were so before; none: it cannot be seen then. */
export function after(state: State, observed: Observation): State[] {
  if (observed.type === 'stable') return isStable(state, observed) ? [settled(state)] : []
  const device = state.devices[observed.device]
  if (device === undefined) return []
  switch (observed.type) {
    case 'read':
      return device.local === observed.found ? [state] : []
    case 'write':
      return device.local === observed.found ? written(state, observed.device, device, observed) : []
    case 'kill':
      return [change(state, observed.device, observed.lost ? { base: 0, due: null } : { due: null })]
  }
}

function written(
  state: State,
  index: number,
  device: Device,
  { value, inPlace }: { readonly value: Value; readonly inPlace: boolean },
): State[] {
  const { local, joined } = device
  const next = change(parted(state, index), index, { local: value })
  const states = [next]
  if (inPlace && value !== null && joined !== null) {
    // One file under two names; the second is taken back if the agent is still at it.
    states[0] = change(state, index, { local: value, joined: value })
    states.push(change(state, index, { local: value, joined: null }))
  }
  // The agent may have looked just before.
  return local === value ? states : states.flatMap((each) => [each, change(each, index, { offered: local })])
}

function isStable(state: State, observed: Extract<Observation, { type: 'stable' }>): boolean {
  const newest = state.log.length - 1
  const value = state.log[newest] ?? null
  const agreed = value === null ? 0 : newest
  const quiet = state.devices.every(
    ({ local, base, aside }, index) =>
      local === value && observed.shown[index] === value && base === agreed && aside === null,
  )
  const joined = state.devices.map((device) => device.joined)
  return quiet && withConflicts(state, joined).conflicts.join('\n') === [...observed.conflicts].sort().join('\n')
}

/** When all is quiet every agent has seen everything. */
function settled(state: State): State {
  const devices = state.devices.map(({ local, base, due, joined, aside }) => ({ local, base, due, joined, aside }))
  return { ...state, devices }
}

/** What an agent may do next. */
export function hiddenSteps(state: State, index: number): State[] {
  const device = state.devices[index]
  if (device === undefined) return []
  if (device.aside !== null) return [broughtBack(state, index, device)]
  // One thing at a time: what was done is written down before anything else is.
  if (device.due !== null) return [change(state, index, { base: device.due, due: null })]
  const newest = state.log.length - 1
  // Whatever it does now, it does not go by an older look again.
  const looked = change(state, index, { offered: device.local })
  const steps = act(looked, index, device.local, newest)
  if (device.offered !== undefined) steps.push(...act(looked, index, device.offered, newest))
  if (device.heard !== undefined) steps.push(...act(looked, index, device.local, device.heard))
  return steps
}

/** Up, Down, or the agreement that they lead to, by an agent that saw this value and heard of this version. */
function act(state: State, index: number, seen: Value, known: number): State[] {
  const device = state.devices[index]
  if (device === undefined) return []
  const theirs = state.log[known] ?? null
  const lastLook = seen === device.local
  switch (decide(state.log, seen, known, device.base)) {
    case 'agree': {
      const agreed = theirs === null ? 0 : known
      return agreed === device.base ? [] : [change(state, index, { base: agreed })]
    }
    case 'take':
      return lastLook ? [take(state, index, theirs, known)] : takeUnseen(state, index, known)
    case 'keep both':
      // The conflict file first; whoever saves again before the rest is done has both.
      if (device.joined === seen)
        return lastLook ? [take(state, index, theirs, known)] : takeUnseen(state, index, known)
      if (lastLook) return [change(parted(state, index), index, { joined: seen })]
      return seen !== null && state.conflicts.includes(seen) ? takeUnseen(state, index, known) : []
    case 'send':
      return known === state.log.length - 1 ? send(state, index, seen) : []
  }
}

function take(state: State, index: number, value: Value, version: number): State {
  return change(parted(state, index), index, { local: value, due: value === null ? 0 : version })
}

/** What was saved in the very instant comes out instead of what was seen: it is kept, unless it is what comes, or the server has it. */
function takeUnseen(state: State, index: number, version: number): State[] {
  const theirs = state.log[version] ?? null
  const { local = null } = state.devices[index] ?? {}
  if (local === null) return []
  if (theirs === null) return [change(state, index, { local: null, aside: local })]
  const taken = take(state, index, theirs, version)
  if (local === theirs) return [taken]
  const kept = withConflicts(taken, [local])
  return state.log.includes(local) ? [kept, taken] : [kept]
}

function broughtBack(state: State, index: number, { local, aside }: Device): State {
  const back = change(state, index, { aside: null })
  return local === null ? change(back, index, { local: aside }) : withConflicts(back, [aside])
}

/** The conflict file is a file of its own from here on. */
function parted(state: State, index: number): State {
  const { joined = null } = state.devices[index] ?? {}
  return joined === null ? state : change(withConflicts(state, [joined]), index, { joined: null })
}

function withConflicts(state: State, more: readonly Value[]): State {
  const values = more.filter((value) => value !== null)
  return { ...state, conflicts: [...new Set([...state.conflicts, ...values])].sort() }
}

/** A new version; the others may not have heard of it for some time. */
function send(state: State, index: number, value: Value): State[] {
  const before = state.log.length - 1
  const sent: State = { ...state, log: [...state.log, value] }
  // It is known again by its entry, even after a kill: it needs no record of its own.
  let states = [change(sent, index, { base: value === null ? 0 : before + 1 })]
  for (const [other, { base }] of sent.devices.entries()) {
    if (other !== index && before > base) {
      states = states.flatMap((each) => [each, change(each, other, { heard: before })])
    }
  }
  return states
}

function decide(
  log: readonly Value[],
  seen: Value,
  known: number,
  base: number,
): 'agree' | 'take' | 'send' | 'keep both' {
  const theirs = log[known] ?? null
  if (seen === theirs) return 'agree'
  if (seen === (log[base] ?? null)) return 'take'
  if (base !== 0 && theirs === log[base]) return 'send'
  if (seen === null) return 'take'
  // Fetched and not written down, or, without a base, an old copy: the history has it.
  const stale = log.slice(base + 1, known).includes(seen)
  if (theirs === null) return stale && base !== 0 ? 'take' : 'send'
  return stale ? 'take' : 'keep both'
}

/** With what no longer can make a difference dropped: fewer states to search. */
function change(state: State, index: number, fields: Partial<Device>): State {
  const devices = state.devices.map((device, at) => {
    if (at !== index) return device
    const { local, offered, heard, base, due, joined, aside } = { ...device, ...fields }
    return {
      local,
      ...(offered !== undefined && offered !== local ? { offered } : {}),
      ...(heard !== undefined && heard > base ? { heard } : {}),
      base,
      due,
      joined,
      aside,
    }
  })
  return { ...state, devices }
}
