import { expect, it } from 'vitest'
import { openAddresses } from '../../src/server/faces/addresses.ts'
import { openChangelog } from '../../src/server/faces/changelog.ts'
import { openContainersFace } from '../../src/server/faces/containers.ts'
import { ROUTES } from '../../src/server/v1.ts'
import { openFortress } from './fortress.ts'
import { rightRequests } from './requests.ts'
import { requestBytes, send } from './wire.ts'

/** Routes outside of `/v1`. */
const OTHERS = [
  { url: '/v1/join', methods: { POST: true } },
  { url: '/live', methods: { GET: true } },
  { url: '/ready', methods: { GET: true } },
  { url: '/metrics', methods: { GET: true } },
]
/** Those of faces, which know what they are for when somebody asks. */
const FACES = [
  openAddresses({ bucket: '' }),
  openChangelog({ bucket: '', store: '' }),
  openContainersFace(
    { name: 'containers', signUp: 'anybody', spool: '' },
    { context: { bounds: {} } as never, own: {} as never },
  ),
].flatMap(({ routes }) => routes.map(({ method, url }) => ({ url, methods: { [method]: true } })))
/** Right requests that are not for just any token, or code. */
const REFUSED = new Map([
  ['/metrics', 'Forbidden'],
  ['/v1/tokens/rotate', 'Forbidden'],
  ['/v1/join', 'Unauthenticated'],
])
/** Fuzzed by a property of its own, since its body is no JSON. */
const FRAMES = 'POST /v1/buckets/:bucket/chunks'

it(
  'the fuzzing has a right request of every route and method, and each is taken for one',
  { timeout: 60_000 },
  async () => {
    await using fortress = await openFortress()
    const requests = rightRequests(fortress, 'scratch')
    const served = [...ROUTES, ...OTHERS, ...FACES].flatMap(({ url, methods }) =>
      Object.keys(methods).map((method) => ({ method, url, path: pattern(url) })),
    )
    const lacking = served.filter(
      ({ method, path }) => !requests.some((one) => one.method === method && path.test(one.target.split('?')[0] ?? '')),
    )
    expect(lacking.map(({ method, url }) => `${method} ${url}`)).toEqual([FRAMES])
    for (const { method, target, json, headers } of requests) {
      const body = Buffer.from(json === null ? '' : typeof json === 'string' ? json : JSON.stringify(json))
      const fields = [
        ['Host', 'localhost'],
        ['Connection', 'close'],
        [
          'Authorization',
          `Bearer ${target.startsWith('/v1') || target === '/metrics' ? fortress.tokens.scratch : fortress.tokens.user}`,
        ],
        ...headers,
        ['Content-Length', String(body.length)],
      ] as const
      const answer = await send(fortress.at.url, requestBytes(`${method} ${target} HTTP/1.1`, fields, body))
      // What is not there, or has another history, is a right question nevertheless.
      const code = answer?.headers.get('x-blobs-code')
      const text = `${method} ${target}: ${answer?.status} ${String(answer?.body).slice(0, 300)}`
      const right = REFUSED.has(target)
        ? [REFUSED.get(target)]
        : ['NotFound', 'AlreadyExists', 'CursorForked', undefined]
      expect(right, text).toContain(code)
      expect(text).not.toContain('nothing at this path')
    }
    await fortress.checkAll()
  },
)

function pattern(url: string): RegExp {
  return new RegExp(`^${url.replaceAll(/:\w+/g, '[^/]+').replaceAll('*', '.+')}$`)
}
