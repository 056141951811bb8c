import { describe, expect, test } from 'vitest'
import { INITIAL_STATE, nextState, type AgentEvent, type AgentState } from '../../../src/sync/core/agent-state.ts'

const STATES: readonly AgentState[] = [
  { name: 'starting' },
  { name: 'scanning', again: false },
  { name: 'scanning', again: true },
  { name: 'syncing', again: false },
  { name: 'syncing', again: true },
  { name: 'idle' },
  { name: 'waiting-for-approval' },
  { name: 'offline' },
  { name: 'suspended', reason: 'root-missing' },
  { name: 'paused', until: null },
  { name: 'stopping' },
]
const EVENTS: readonly AgentEvent[] = [
  { type: 'proved' },
  { type: 'scanned' },
  { type: 'settled' },
  { type: 'braked' },
  { type: 'unsettled' },
  { type: 'changed' },
  { type: 'decided' },
  { type: 'disconnected' },
  { type: 'connected' },
  { type: 'suspended', reason: 'unauthenticated' },
  { type: 'recovered' },
  { type: 'paused', until: 5 },
  { type: 'resumed' },
  { type: 'stopped' },
]

function after(...types: (AgentEvent['type'] | AgentEvent)[]): AgentState {
  let state = INITIAL_STATE
  for (const each of types) {
    const event = typeof each === 'string' ? EVENTS.find(({ type }) => type === each) : each
    if (event !== undefined) state = nextState(state, event)
  }
  return state
}

describe('an agent', () => {
  test('goes from its start to idle', () => {
    expect(after('proved')).toEqual({ name: 'scanning', again: false })
    expect(after('proved', 'scanned')).toEqual({ name: 'syncing', again: false })
    expect(after('proved', 'scanned', 'settled')).toEqual({ name: 'idle' })
  })
  test('looks again at what changed while it looked, and while it synced', () => {
    expect(after('proved', 'changed', 'scanned', 'settled')).toEqual({ name: 'scanning', again: false })
    expect(after('proved', 'scanned', 'changed', 'settled')).toEqual({ name: 'scanning', again: false })
    expect(after('proved', 'scanned', 'changed', 'braked')).toEqual({ name: 'scanning', again: false })
    expect(after('proved', 'scanned', 'settled', 'changed')).toEqual({ name: 'scanning', again: false })
  })
  test('goes on while deletes wait for a yes', () => {
    expect(after('proved', 'scanned', 'braked')).toEqual({ name: 'waiting-for-approval' })
    expect(after('proved', 'scanned', 'braked', 'changed').name).toBe('scanning')
    expect(after('proved', 'scanned', 'braked', 'decided').name).toBe('scanning')
  })
  test('proves everything anew after it was offline, paused or suspended', () => {
    expect(after('proved', 'disconnected', 'changed')).toEqual({ name: 'offline' })
    expect(after('proved', 'disconnected', 'connected')).toEqual({ name: 'starting' })
    expect(after('proved', 'paused')).toEqual({ name: 'paused', until: 5 })
    expect(after('proved', 'paused', 'resumed')).toEqual({ name: 'starting' })
    expect(after('proved', 'suspended')).toEqual({ name: 'suspended', reason: 'unauthenticated' })
    expect(after('proved', 'suspended', 'connected', 'changed').name).toBe('suspended')
    expect(after('proved', 'suspended', 'recovered')).toEqual({ name: 'starting' })
  })
  test('keeps the last cause of a suspension and the last end of a pause', () => {
    expect(after('suspended', { type: 'suspended', reason: 'root-missing' })).toEqual({
      name: 'suspended',
      reason: 'root-missing',
    })
    expect(after('paused', { type: 'paused', until: null })).toEqual({ name: 'paused', until: null })
  })
  test('that is paused by a person is not taken out of it by anything but a person', () => {
    const others = EVENTS.filter(({ type }) => !['paused', 'resumed', 'stopped'].includes(type))
    for (const event of others)
      expect(nextState({ name: 'paused', until: 5 }, event)).toEqual({ name: 'paused', until: 5 })
  })
})

test('every event has an answer in every state, and the same one each time', () => {
  for (const state of STATES) {
    for (const event of EVENTS) expect(nextState(state, event)).toEqual(nextState({ ...state }, { ...event }))
  }
})
test('stopping is the end, and can be reached from anywhere', () => {
  for (const event of EVENTS) expect(nextState({ name: 'stopping' }, event)).toEqual({ name: 'stopping' })
  for (const state of STATES) expect(nextState(state, { type: 'stopped' })).toEqual({ name: 'stopping' })
})
test('a state that does not change is the same value', () => {
  const idle: AgentState = { name: 'idle' }
  expect(nextState(idle, { type: 'connected' })).toBe(idle)
})
test('nothing is done on either side before the folder and the bucket are proved', () => {
  for (const event of EVENTS) {
    expect(['syncing', 'idle']).not.toContain(nextState({ name: 'starting' }, event).name)
  }
})
