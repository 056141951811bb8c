import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { SourceOf } from './tree.ts'

/** Reads from a bundle's comments which file the code below them comes from. */
export function openSources(): SourceOf {
  const bundles = new Map<string, readonly string[]>()
  return (url, line) => {
    if (!url.startsWith('file:')) return url === '' || url.startsWith('node:') ? 'node' : url
    let lines = bundles.get(url)
    if (lines === undefined) bundles.set(url, (lines = linesOf(url)))
    for (let at = Math.min(line, lines.length - 1); at >= 0; at--) {
      const [, source = '', name] =
        /^\/\/ (src\/\S+|node_modules\/((?:@[^/]+\/)?[^/]+)\/\S+)$/.exec(lines[at] ?? '') ?? []
      if (source !== '') return name ?? source
    }
    return 'program start'
  }
}

function linesOf(url: string): readonly string[] {
  try {
    return readFileSync(fileURLToPath(url), 'utf8').split('\n')
  } catch {
    return []
  }
}
