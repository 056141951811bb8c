import { join } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Foreign, ForeignName, ForeignPromises } from '../../store/mirror/foreign.ts'
import type { BackendContext, ForeignDriver, PlaceAddress } from '../../store/ports.ts'
import { openContainer } from './bucket.ts'
import { openHttp } from './http.ts'
import { fieldsOf, openSession, unexpected, type Session } from './session.ts'
import type { Server } from './transfer.ts'

const LONGEST_NAME = 50
const KEPT = 'every version that this machine saw is kept, until its bucket is removed'
const PROMISES: ForeignPromises = {
  name: 'containers',
  durability: 'service',
  live: 'polled',
  cannot: {
    'several writers': 'the server cannot refuse what would replace something that its writer has not seen',
    'compare and swap': 'the server compares nothing: what is expected is compared by this machine, before it writes',
    batches: 'the server takes one blob after the other',
    history: 'older versions are those that this machine saw, and are on this machine only',
    'one order': 'each machine counts what it saw itself',
    trimming: KEPT,
    sweeping: KEPT,
  },
  fresh: 1000,
  poll: 5000,
  parallel: 4,
}

/** A blob store with containers: `containers+http://HOST:8080/CONTAINER/key`; also `containers+https`. */
export const containers: ForeignDriver = {
  promises: PROMISES,
  openForeign: async (address, context) => {
    const base = baseOf(address)
    const { env } = context
    const http = await openHttp({ base, ca: context.ca, proxy: context.proxyFor(base) })
    const session = openSession(http, {
      token: () => context.token(),
      user: env['BLOBS_USER'] || undefined,
      password: env['BLOBS_PASSWORD'] || undefined,
    })
    const newId = (): string => context.ids.next()
    const server = { http, session, waiting: { directory: join(context.cacheDirectory, 'chunks'), newId } }
    return openServer(server, context)
  },
}

function openServer(server: Server, { ids, warn }: BackendContext): Foreign {
  const { http, session } = server
  return {
    promises: PROMISES,
    buckets: () => listContainers(session),
    create: (name) => create(session, name),
    remove: (name) => remove(session, name),
    open: ({ name, id }) =>
      openContainer({
        ...server,
        name,
        checkThere: () => checkThere(session, name, id),
        newId: () => ids.next(),
        warn,
      }),
    close: async () => http.close(),
  }
}

function baseOf({ scheme, authority, path, options, text }: PlaceAddress): string {
  const [unknown] = options.keys()
  if (unknown !== undefined) {
    throw new BlobsError('InvalidRequest', `${text}: there is no option ${unknown}`, {
      hint: 'there is single-writer, and no other',
    })
  }
  const base = `${scheme.replace('containers+', '')}://${authority}${path.split('/').map(encodeURIComponent).join('/')}`
  if (authority !== '' && URL.canParse(base)) return base
  throw new BlobsError('InvalidRequest', `${text} names no server`, {
    hint: 'write containers+http://HOST:8080/CONTAINER/key',
  })
}

async function listContainers(session: Session): Promise<readonly ForeignName[]> {
  const { status, value } = await session.ask('GET', '/list_containers')
  const { containers: found } = fieldsOf(value)
  if (status !== 200 || !Array.isArray(found)) throw unexpected('list its containers', status, value)
  return found.map((one: unknown): ForeignName => {
    const { id, name, user_id: user } = fieldsOf(one)
    if (typeof name === 'string' && typeof id === 'number') return { name, id: `${user} ${id}` }
    throw unexpected('list its containers', status, null)
  })
}

async function checkThere(session: Session, name: string, id: string): Promise<void> {
  if ((await listContainers(session)).some((one) => one.name === name && one.id === id)) return
  throw new BlobsError('NotFound', `there is no container ${name} any more`, { bucket: name })
}

async function create(session: Session, name: string): Promise<boolean> {
  if (name.length > LONGEST_NAME) {
    throw new BlobsError('InvalidRequest', `${name} is too long: names there have at most ${LONGEST_NAME} characters`)
  }
  const isThere = async (): Promise<boolean> => (await listContainers(session)).some((one) => one.name === name)
  if (await isThere()) return false
  const { status, value } = await session.ask('POST', '/create_container', { container_name: name })
  if (status === 201) return true
  if (status !== 500) throw unexpected('make a container', status, value)
  if (await isThere()) return false
  throw new BlobsError('Refused', `the server does not make ${name}: a name can be used once only there`, {
    bucket: name,
    hint: 'a container of that name was removed before, perhaps: take another name',
  })
}

/** The server looks for the name alone, not for its owner; it fails if two users have it, so what it removes is ours. */
async function remove(session: Session, name: string): Promise<boolean> {
  if (!(await listContainers(session)).some((one) => one.name === name)) return false
  const { status, value } = await session.ask(
    'DELETE',
    `/delete_container?${new URLSearchParams({ container_name: name })}`,
  )
  if (status === 200) return true
  if (status !== 500) throw unexpected('remove a container', status, value)
  throw new BlobsError('Refused', `the server does not remove ${name}: another user has a container of that name`, {
    bucket: name,
    hint: 'it could not tell the two apart',
  })
}
