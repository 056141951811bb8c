import { readFile } from 'node:fs/promises'
import type { Plugin } from 'esbuild'

// What TypeScript makes of an import: a name that ends in a number, and is only ever followed by a property.
const REQUIRED = /^( *)(?:const|var) (\w+_\d+) = ((?:__importDefault|__importStar)?\(?require\("[^"]+"\)\)?);$/gm
const EXPORTED = /^exports\.(\w+) = (__importStar\(require\("[^"]+"\)\));$/gm

/** A module of CommonJS that TypeScript wrote, with each module that it requires loaded when it is used for the first time. */
export function requiringLater(text: string): string {
  const names = Array.from(text.matchAll(REQUIRED), ([, , name = '']) => name)
  const uses = new RegExp(String.raw`(?<![\w.$])(${names.join('|')})\.`, 'g')
  return (names.length === 0 ? text : text.replaceAll(uses, '($1()).'))
    .replaceAll(REQUIRED, '$1let $2_; const $2 = () => $2_ ??= $3;')
    .replaceAll(EXPORTED, 'let $1_; Object.defineProperty(exports, "$1", { enumerable: true, get: () => $1_ ??= $2 });')
}

/** Of these packages a program needs a part only: that part alone is evaluated when it starts. */
export function lazyRequires(packages: readonly string[]): Plugin {
  const names = packages.map((name) => name.replaceAll('/', String.raw`[/\\]`)).join('|')
  const filter = new RegExp(String.raw`[/\\]node_modules[/\\](?:${names})[/\\].*\.js$`)
  return {
    name: 'lazy-requires',
    setup: (build) => {
      build.onLoad({ filter }, async ({ path }) => ({
        contents: requiringLater(await readFile(path, 'utf8')),
        loader: 'js',
      }))
    },
  }
}
