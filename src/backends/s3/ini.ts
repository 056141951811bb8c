/** Sections of settings by name; a setting that has settings of its own (`s3 =` with indented lines below) gives `s3.NAME`. */
export type Ini = ReadonlyMap<string, ReadonlyMap<string, string>>

/**
 * Reads the files of AWS's tools: `[section]`, `name = value`, `#` or `;` before a comment, indented lines as settings of the setting
 * above. Names are in lower case. Lines that are nothing of that are passed over, as those tools do.
 */
export function parseIni(text: string): Ini {
  const sections = new Map<string, Map<string, string>>()
  let section: Map<string, string> | null = null
  let parent = ''
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue
    const name = /^\[\s*([^\]]+?)\s*\]/.exec(line)?.[1]
    if (name !== undefined) {
      section = sections.get(name) ?? new Map<string, string>()
      sections.set(name, section)
      parent = ''
      continue
    }
    const [, indent = '', key, written = ''] = /^(\s*)([^=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (key === undefined || section === null) continue
    // Only behind a space: a secret may have a # in it.
    const value = written.replace(/\s[#;].*$/, '').trimEnd()
    const nested = indent !== '' && parent !== ''
    section.set(nested ? `${parent}.${key.toLowerCase()}` : key.toLowerCase(), value)
    if (!nested) parent = value === '' ? key.toLowerCase() : ''
  }
  return sections
}
