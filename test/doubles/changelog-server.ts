import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DatabaseSync, type StatementSync } from 'node:sqlite'

/** A server as that of brodybits/Indexed-data-synchronization, with its traps; its database is in memory. */
export interface ChangelogServer {
  readonly url: string
  /** The next record that is added is there, and its answer is lost. */
  loseNextAnswer(): void
  /** Rows there are. */
  rows(): number
  /** Takes the rows from an id on away, as if the database had been brought back from a backup. */
  goBackTo(id: number): void
  stop(): Promise<void>
}

export interface ChangelogOptions {
  /** 1: the commit that the sample is of; 2: its later master, where each call names its store. */
  readonly generation: 1 | 2
}

/** The stores that there are; of the first generation one, which nobody names. */
export const STORE = 'MyStore'
/** What the body parser takes, in bytes. */
const BODY_LIMIT = 100 * 1024

type Body = Readonly<Record<string, unknown>>
interface Answer {
  readonly status: number
  readonly type?: string
  readonly text?: string
}
type Prepare = (sql: string) => StatementSync
type Route = (prepare: Prepare, body: Body) => Answer

export async function startChangelogServer({ generation }: ChangelogOptions): Promise<ChangelogServer> {
  const db = new DatabaseSync(':memory:')
  db.exec(generation === 1 ? FIRST_TABLE : SECOND_TABLE)
  const routes = generation === 1 ? FIRST : SECOND
  const statements = new Map<string, StatementSync>()
  const prepare: Prepare = (sql) => {
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  let losing = false
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const name = `${request.method} ${(request.url ?? '').split('?')[0]}`
      const route = routes[name]
      if (body === 'too large') return send(response, html(413, 'PayloadTooLargeError: request entity too large'))
      if (body === 'no JSON') return send(response, html(400, 'SyntaxError: Unexpected token in JSON'))
      if (route === undefined) return send(response, html(404, `Cannot ${name}`))
      const answer = route(prepare, body)
      if (losing && /add/i.test(name)) {
        losing = false
        return void response.destroy()
      }
      return send(response, answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${address.port}`,
    loseNextAnswer: () => {
      losing = true
    },
    rows: () => Number(db.prepare(`SELECT count(*) AS n FROM ${STORE}`).get()?.['n']),
    goBackTo: (id) => {
      db.prepare(`DELETE FROM ${STORE} WHERE ${generation === 1 ? 'id' : 'change_id'} >= ?`).run(id)
      db.prepare('UPDATE sqlite_sequence SET seq = ?').run(id - 1)
    },
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      db.close()
    },
  }
}

const FIRST_TABLE = `CREATE TABLE ${STORE} (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT);
  CREATE INDEX ${STORE}_KEY_INDEX ON ${STORE} (key)`
const SECOND_TABLE = `CREATE TABLE ${STORE} (change_id INTEGER PRIMARY KEY AUTOINCREMENT, change_type TEXT, record_key TEXT,
  index_values TEXT, record_value TEXT)`

const echo: Route = (_prepare, body) => ({ status: 200, type: 'application/json', text: JSON.stringify(body) })
const done: Answer = { status: 200, text: '' }
const bad: Answer = { status: 400, text: '' }

const FIRST: Readonly<Record<string, Route>> = {
  'POST /echoBody': echo,
  'POST /add': (prepare, { key, value }) => {
    prepare(`INSERT INTO ${STORE} (key, type, value) VALUES (?, 'ADD', ?)`).run(bound(key), bound(value))
    return done
  },
  'POST /delete': (prepare, { key }) => {
    prepare(`INSERT INTO ${STORE} (key, type) VALUES (?, 'DELETE')`).run(bound(key))
    return done
  },
  'GET /get': (prepare, { key }) => {
    const rows = prepare(`SELECT type, value FROM ${STORE} WHERE key = ?`).all(bound(key))
    const [row] = rows
    return rows.length === 1 && row?.['type'] === 'ADD' ? textOf(row['value']) : bad
  },
  'GET /changes': (prepare, { after }) =>
    jsonOf(prepare(`SELECT id, key, type, value FROM ${STORE} WHERE id > ? ORDER BY id`).all(bound(after))),
}

const SECOND: Readonly<Record<string, Route>> = {
  'POST /echoBody': echo,
  'POST /addStoreRecord': inStore((prepare, { key, index_values: values, value }) => {
    const columns = '(change_type, record_key, index_values, record_value)'
    const insert = prepare(`INSERT INTO ${STORE} ${columns} VALUES ('ADD', ?, ?, ?)`)
    insert.run(bound(key), values === undefined ? '' : JSON.stringify(values), bound(value))
    return done
  }),
  'POST /deleteStoreRecord': inStore((prepare, { key }) => {
    prepare(`INSERT INTO ${STORE} (change_type, record_key, index_values) VALUES ('DELETE', ?, '')`).run(bound(key))
    return done
  }),
  'POST /getStoreRecordValue': inStore((prepare, { key }) => {
    const rows = prepare(`SELECT change_type, record_value FROM ${STORE} WHERE record_key = ?`).all(bound(key))
    const [row] = rows
    return rows.length === 1 && row?.['change_type'] === 'ADD' ? textOf(row['record_value']) : bad
  }),
  'POST /getStoreChanges': inStore((prepare, { after }) => {
    const rows = prepare(`SELECT * FROM ${STORE} WHERE change_id > ? ORDER BY change_id`).all(bound(after))
    return jsonOf(
      rows.map((row) => ({ ...row, index_values: JSON.parse(String(row['index_values']) || '[]') as unknown })),
    )
  }),
}

/** A store that nobody made is a table that is not there. */
function inStore(route: Route): Route {
  return (prepare, body) => (body['storeName'] === STORE ? route(prepare, body) : bad)
}

/** What its SQLite binding makes of a value: nothing of what is missing, text of everything else. */
function bound(value: unknown): string | number | null {
  if (value === undefined || value === null) return null
  return typeof value === 'number' ? value : String(value)
}

function textOf(value: unknown): Answer {
  return { status: 200, type: 'text/html; charset=utf-8', text: String(value) }
}
function jsonOf(rows: readonly unknown[]): Answer {
  return { status: 200, type: 'application/json; charset=utf-8', text: JSON.stringify(rows) }
}
function html(status: number, text: string): Answer {
  return { status, type: 'text/html; charset=utf-8', text: `<!DOCTYPE html><pre>${text}</pre>` }
}

function send(response: ServerResponse, { status, type, text = '' }: Answer): void {
  response.writeHead(status, {
    ...(type === undefined ? {} : { 'content-type': type }),
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}

/** Of a GET too; a query is no part of it. */
async function bodyOf(request: IncomingMessage): Promise<Body | 'too large' | 'no JSON'> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      size += part.length
      if (size <= BODY_LIMIT) parts.push(part)
    }
  } catch {
    return 'no JSON'
  }
  if (size > BODY_LIMIT) return 'too large'
  if (size === 0 || request.headers['content-type']?.startsWith('application/json') !== true) return {}
  try {
    return JSON.parse(Buffer.concat(parts).toString()) as Body
  } catch {
    return 'no JSON'
  }
}
