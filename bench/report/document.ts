/** docs/performance.md: parts between markers are generated, the rest is written by hand and stays as it is. Pure. */

const NEW = `# Performance

How long the everyday things take, beside other programs with the same work in the same run (\`npm run bench\`).
Compare the ratios: the milliseconds are those of one machine.
`

/** Replaces the part `name`, or adds it after the last that is generated: before what is written by hand. */
function withPart(document: string, name: string, text: string): string {
  const begin = `<!-- generated: ${name} -->`
  const end = `<!-- end of ${name} -->`
  const part = `${begin}\n\n${text.trim()}\n\n${end}`
  const from = document.indexOf(begin)
  const to = document.indexOf(end, from)
  if (from < 0 || to < 0) return added(document, part)
  return document.slice(0, from) + part + document.slice(to + end.length)
}

function added(document: string, part: string): string {
  const last = document.lastIndexOf('<!-- end of ')
  const at = last < 0 ? document.length : document.indexOf('-->', last) + '-->'.length
  const rest = document.slice(at).trim()
  return `${document.slice(0, at).trimEnd()}\n\n${part}\n${rest === '' ? '' : `\n${rest}\n`}`
}

/** The document with parts in order; those it does not have yet come after the introduction, before anything by hand. */
export function withParts(document: string | null, parts: readonly (readonly [name: string, text: string])[]): string {
  if (document === null) return parts.reduce((all, [name, text]) => withPart(all, name, text), NEW)
  if (document.includes('<!-- generated: ')) {
    return parts.reduce((all, [name, text]) => withPart(all, name, text), document)
  }
  // Sections were written before the first run: they come after.
  const [head = '', rest = ''] = split(document)
  const generated = parts.reduce((all, [name, text]) => withPart(all, name, text), head.trim() === '' ? NEW : head)
  return `${generated.trimEnd()}\n\n${rest.trim()}\n`
}

/** Where the first section begins. */
function split(document: string): readonly [string, string] {
  const at = document.search(/^## /m)
  return at < 0 ? [document, ''] : [document.slice(0, at), document.slice(at)]
}
