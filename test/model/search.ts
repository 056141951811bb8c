import { after, hiddenSteps, initialState, type Observation, type State } from './spec.ts'

/** Tells, observation by observation, whether some run of the model shows just these. */
export interface Search {
  see(observation: Observation): void
  /** True if so. Goes on where it was the last time: no state is looked at twice. */
  isExplained(): boolean
}

/** States after which a history is too ambiguous to be judged: such a case says nothing, and must be made smaller. */
const MOST_STATES = 300_000

export function openSearch(devices: number): Search {
  const observed: Observation[] = []
  const visited = new Set<string>()
  // Depth first: what explains the start mostly goes on to explain the rest.
  const waiting: { readonly at: number; readonly state: State }[] = [{ at: 0, state: initialState(devices) }]
  return {
    see: (observation) => void observed.push(observation),
    isExplained: () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const { at, state } = next
        const observation = observed[at]
        if (observation === undefined) {
          waiting.push(next)
          return true
        }
        const key = keyOf(at, state)
        if (visited.has(key)) continue
        visited.add(key)
        if (visited.size > MOST_STATES) throw new Error(`more than ${MOST_STATES} states of the model to search`)
        for (let device = 0; device < devices; device++) {
          for (const hidden of hiddenSteps(state, device)) waiting.push({ at, state: hidden })
        }
        for (const seen of after(state, observation)) waiting.push({ at: at + 1, state: seen })
      }
      return false
    },
  }
}

/** The same for states that nothing tells apart: of versions before all bases only the values count, not when and how often they were. */
function keyOf(at: number, { log, conflicts, devices }: State): string {
  const newest = log.length - 1
  const floor = Math.min(
    newest,
    ...devices.flatMap(({ base, heard, due }) => [base, heard ?? 0, due ?? 0]).filter(Boolean),
  )
  const shift = (version: number): number => (version === 0 ? 0 : version - floor + 1)
  const shown = devices.map(({ local, offered, heard, base, due, joined, aside }) => [
    local,
    offered === undefined ? '' : [offered],
    shift(heard ?? 0),
    shift(base),
    due === null ? '' : shift(due),
    joined,
    aside,
  ])
  return JSON.stringify([at, [...new Set(log.slice(0, floor))].sort(), log.slice(floor), conflicts, shown])
}
