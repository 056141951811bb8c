import type { PlacePromises } from '../store/ports.ts'
import type { ServerFinding, ServerExamined } from './examine-server.ts'
import type { Places } from './places.ts'

const DURABILITY: Readonly<Record<PlacePromises['durability'], string>> = {
  fsync: 'what was acknowledged survives a power cut',
  process: 'what was acknowledged is gone with the process',
  replicated: 'what was acknowledged survives while most of the replicas live on',
  service: 'what was acknowledged is kept as the service promises',
}

/**
 * Looks at a place that a driver opens: what it promises, what the driver finds, whether it opens, and its bucket ('' for none). Ends with the
 * first step that does not work.
 */
export async function* examinePlace(
  places: Places,
  { location, bucket }: { readonly location: string; readonly bucket: string },
): AsyncGenerator<ServerFinding, ServerExamined> {
  let buckets = 0
  try {
    const { promises, findings } = await places.examine(location)
    yield* promised(promises)
    yield* findings
    for await (const _one of (await places.buckets(location)).list()) buckets += 1
    if (bucket !== '') await (await places.open({ location, bucket })).info()
  } catch (error) {
    yield { error }
  }
  return { buckets }
}

function* promised({ durability, live, cannot }: PlacePromises): Generator<ServerFinding> {
  const fact = (code: string, message: string): ServerFinding => ({ code, severity: 'fact', message, remedy: '' })
  yield fact('durability', DURABILITY[durability])
  yield fact(
    'live',
    live === 'pushed' ? 'changes by others are told at once' : 'changes by others are looked for every so often',
  )
  for (const [ability, reason] of Object.entries(cannot)) yield fact('cannot', `no ${ability}: ${reason}`)
}
