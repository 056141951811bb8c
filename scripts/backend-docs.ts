/** `npm run docs`: writes the table of docs/backends.md from what the drivers declare. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LOCAL_PROMISES } from '../src/backends/local/local.ts'
import { loadDriver, SCHEMES } from '../src/locations/drivers.ts'
import { ABILITIES, type BackendPromises, type PlacePromises } from '../src/store/ports.ts'

export const BACKEND_DOCS = join(import.meta.dirname, '..', 'docs', 'backends.md')
const START = '<!-- made by npm run docs from what the drivers declare -->'
const END = '<!-- end -->'

/** The page with its table as it should be. */
export async function backendDocs(): Promise<string> {
  const page = readFileSync(BACKEND_DOCS, 'utf8')
  const [before, rest] = page.split(START)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error(`${BACKEND_DOCS} lacks the marks of its table`)
  return `${before}${START}\n\n${await table()}\n${END}${after}`
}

async function table(): Promise<string> {
  const rows = [rowOf('*(the embedded store)*', LOCAL_PROMISES)]
  const notes: string[] = []
  for (const scheme of SCHEMES) {
    // Promises nothing else than without TLS.
    if (scheme.endsWith('+https')) continue
    const driver = await loadDriver(scheme)
    if (driver === null) continue
    rows.push(rowOf(`\`${scheme}://\``, driver.promises))
    for (const [ability, reason] of Object.entries(driver.promises.cannot)) {
      notes.push(`- \`${scheme}://\`, no ${ability}: ${reason}.`)
    }
  }
  const head = ['place', 'acknowledged means', 'changes by others', 'largest entry', ...ABILITIES]
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n${notes.length === 0 ? '' : `\n${notes.join('\n')}\n`}`
}

const DURABILITY: Readonly<Record<PlacePromises['durability'], string>> = {
  fsync: 'on the disk, fsync done',
  process: 'in the memory of a process',
  replicated: 'with most of the replicas',
  service: 'as the service promises',
}

function rowOf(
  place: string,
  { durability, live, cannot, ...more }: BackendPromises | PlacePromises,
): readonly string[] {
  const entry = 'maxEntryBytes' in more ? `${Math.floor(more.maxEntryBytes / 1024)} KiB` : 'any'
  const can = ABILITIES.map((ability) => (cannot[ability] === undefined ? 'yes' : 'no'))
  return [place, DURABILITY[durability], live, entry, ...can]
}

if (import.meta.main) writeFileSync(BACKEND_DOCS, await backendDocs())
