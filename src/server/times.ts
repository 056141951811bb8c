import { bounds } from '../protocol/limits.ts'

/** How long a server waits for what, and how much it takes at once: each as `bounds` of the protocol says it. */
export type Bounds = { readonly [Name in keyof typeof bounds]: number }

export const defaultBounds: Bounds = bounds
