/** An element: text, or elements by their names; those that may come often are always a list. */
export interface Xml {
  readonly [name: string]: string | Xml | readonly Xml[] | undefined
}

const OFTEN: ReadonlySet<string> = new Set(['Contents', 'CommonPrefixes', 'Error', 'Deleted'])

/** The root element's elements; null for what is no XML of S3. */
export async function parseXml(text: string, root: string): Promise<Xml | null> {
  // No answer of S3 declares entities; some that do are made to fill the memory.
  if (!text.trimStart().startsWith('<') || text.includes('<!DOCTYPE')) return null
  const { XMLParser } = await import('fast-xml-parser')
  const parser = new XMLParser({
    parseTagValue: false,
    trimValues: false,
    // It allows too few for a long listing.
    processEntities: false,
    removeNSPrefix: true,
    isArray: (name, path) => OFTEN.has(name) && path !== name,
  })
  try {
    const found = (parser.parse(text) as Xml)[root]
    if (found === undefined) return null
    return typeof found === 'string' ? {} : (found as Xml)
  } catch {
    return null
  }
}

/** The text of an element; '' if there is none. */
export function textOf(xml: Xml, name: string): string {
  const found = xml[name]
  return typeof found === 'string' ? decodeEntities(found) : ''
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([a-z]+));/gi,
    (whole, hex?: string, decimal?: string, name = '') => {
      if (name !== '') return ENTITIES[name] ?? whole
      const point = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
      return point <= 0x10ffff ? String.fromCodePoint(point) : whole
    },
  )
}

export function listOf(xml: Xml, name: string): readonly Xml[] {
  const found = xml[name]
  return Array.isArray(found) ? (found as readonly Xml[]) : []
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}
