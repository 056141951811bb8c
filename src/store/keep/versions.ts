import type { Follower } from '../follow.ts'
import type { KeptBody } from '../view/kept.ts'
import { viewMadeAnew } from './retain.ts'

/** Versions looked at without a pause. */
const VERSIONS = 500

/** The bodies of all versions that the log, as it is now, keeps, some at a time. Throws `Unavailable` if the view is made anew meanwhile. */
export async function* keptVersions(follower: Follower): AsyncGenerator<readonly KeptBody[], void> {
  await follower.read(() => undefined)
  await follower.complete()
  const { generation } = await follower.peek((view) => view.state())
  for (let after = 0; ;) {
    const from = after
    const some = await follower.peek((view) => view.keptBodies(generation, from, VERSIONS))
    if (some === null) throw viewMadeAnew()
    yield some
    if (some.length < VERSIONS) return
    after = some.at(-1)?.serial ?? after
  }
}
