import type { History } from './history.ts'

/** The least histories that once broke a law, by what went wrong. */
export const REGRESSIONS: Readonly<Record<string, History>> = {
  'what was downloaded and not written down, and is deleted meanwhile, does not come back': {
    seed: 20,
    devices: 3,
    caseBlind: false,
    canExchange: false,
    retries: false,
    actions: [
      { type: 'deed', device: 0, deed: { type: 'write', path: 'd/y', text: 'base of d/y', style: 'rename' } },
      { type: 'deed', device: 0, deed: { type: 'write', path: 'f/1', text: 'base of f/1', style: 'rename' } },
      { type: 'deed', device: 0, deed: { type: 'write', path: 'f/2', text: 'base of f/2', style: 'rename' } },
      { type: 'sync', device: 0 },
      { type: 'rest', device: 0 },
      { type: 'sync', device: 1 },
      { type: 'rest', device: 1 },
      { type: 'deed', device: 0, deed: { type: 'remove', path: 'd/y' } },
      {
        type: 'deed during sync',
        device: 0,
        deed: { type: 'write', path: 'd/x', text: 'the same', style: 'anew' },
        at: 7,
        among: 'effects',
      },
      { type: 'run', steps: 4 },
      { type: 'error', device: 1, at: 20, among: 'writes' },
      {
        type: 'deed during sync',
        device: 0,
        deed: { type: 'write', path: 'y', text: 'the same', style: 'anew' },
        at: 11,
        among: 'writes',
      },
      { type: 'deed', device: 0, deed: { type: 'remove', path: 'd' } },
    ],
  },
  'a full disk while new ignore rules are written down leaves no transaction open': {
    seed: 299,
    devices: 2,
    caseBlind: false,
    canExchange: true,
    retries: true,
    actions: [
      { type: 'sync', device: 1 },
      { type: 'sync', device: 0 },
      { type: 'error', device: 1, at: 22, among: 'effects' },
      { type: 'deed', device: 1, deed: { type: 'write', path: 'f/2', text: 'text 7', style: 'in place' } },
      { type: 'deed', device: 1, deed: { type: 'write', path: 'd', text: 'text 8', style: 'rename' } },
    ],
  },
  'what is moved away after the answer to its upload was lost does not come back': {
    seed: 20153,
    devices: 2,
    caseBlind: false,
    canExchange: false,
    retries: true,
    actions: [
      { type: 'deed', device: 0, deed: { type: 'write', path: 'f', text: 'text 5', style: 'anew' } },
      { type: 'kill server', at: 2, done: true },
      { type: 'sync', device: 0 },
      { type: 'rest', device: 0 },
      { type: 'deed', device: 0, deed: { type: 'move', path: 'f', to: 'd/e/z' } },
    ],
  },
}
