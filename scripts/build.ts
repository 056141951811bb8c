/**
 * Builds `dist/` and `oclif.manifest.json`. One entry a command, so that a command loads only what it needs; packages are bundled
 * (reading a hundred small files costs more than reading one), except those with native parts.
 * Files are replaced one by one and only when they changed: a program that runs from `dist/` meanwhile keeps working.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { Plugin } from '@oclif/core/config'
import * as esbuild from 'esbuild'
import { lazyRequires } from './lazy-requires.ts'

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
const TYPES = join(DIST, 'types')
const MANIFEST = join(ROOT, 'oclif.manifest.json')
const NOT_BUNDLED = ['koffi', 'keytar']
// To evaluate all of it takes longer than most commands run: its help, its colours, its search for plugins.
const EVALUATED_LATER = ['@oclif/core']

// CommonJS packages inside an ES module still ask for these.
const COMMONJS_NAMES = `import { createRequire as createRequireOf } from 'node:module';
const require = createRequireOf(import.meta.url), __dirname = import.meta.dirname, __filename = import.meta.filename;
`
const COMMONJS = /\b(require|__dirname|__filename)\b/

/** Throws when a source does not compile or a command cannot be loaded. `keepStale`: leave files of earlier builds for those who still run from them. */
export async function build(options: { readonly keepStale: boolean }): Promise<void> {
  const outputs = await bundle()
  if (!options.keepStale) await buildTypes()
  for (const output of outputs) await replaceIfChanged(output.path, output.contents)
  if (!options.keepStale) await removeOthers(new Set(outputs.map((output) => output.path)))
  await replaceIfChanged(MANIFEST, Buffer.from(await manifest()))
}

async function bundle(): Promise<{ path: string; contents: Uint8Array }[]> {
  const commands = join(ROOT, 'src', 'commands')
  const files = await readdir(commands, { recursive: true })
  const result = await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [
      'src/start.ts',
      'src/client.ts',
      ...files.filter((name) => name.endsWith('.ts')).map((name) => join('src', 'commands', name)),
    ],
    outdir: DIST,
    outbase: 'src',
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    chunkNames: 'chunks/[name]-[hash]',
    external: NOT_BUNDLED,
    // bin/run.js has looked at the version of Node already.
    define: { 'process.env.OCLIF_DISABLE_ENGINE_WARNING': '"1"' },
    plugins: [lazyRequires(EVALUATED_LATER)],
    legalComments: 'none',
    logLevel: 'warning',
  })
  return result.outputFiles.map(({ path, text }) => ({
    path,
    contents: Buffer.from(COMMONJS.test(text) ? COMMONJS_NAMES + text : text),
  }))
}

/** Writes the declarations of `src/client.ts` to `dist/types`: those that it needs, and no others. */
export async function buildTypes(): Promise<void> {
  const all = await mkdtemp(join(tmpdir(), 'blobs-types-'))
  try {
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--rootDir', 'src', '--outDir', all]
    await promisify(execFile)(process.execPath, [tsc, '--project', 'tsconfig.types.json', ...flags], { cwd: ROOT })
    const wanted = new Set(['client.d.ts'])
    // A set is walked to the end, also to what is added on the way.
    for (const file of wanted) {
      const text = await readFile(join(all, file), 'utf8')
      for (const [, other = ''] of text.matchAll(/from ['"](\.[^'"]+)\.ts['"]/g))
        wanted.add(`${join(dirname(file), other)}.d.ts`)
      const plain = text.replaceAll(/(from ['"]\.[^'"]+)\.ts(['"])/g, '$1.js$2')
      await replaceIfChanged(join(TYPES, file), Buffer.from(plain))
    }
  } finally {
    await rm(all, { recursive: true })
  }
}

async function manifest(): Promise<string> {
  const plugin = new Plugin({
    root: ROOT,
    type: 'core',
    isRoot: true,
    ignoreManifest: true,
    errorOnManifestCreate: true,
  })
  await plugin.load()
  return `${JSON.stringify(plugin.manifest, null, 1)}\n`
}

async function replaceIfChanged(path: string, contents: Uint8Array): Promise<void> {
  const present = await readFile(path).catch(() => null)
  if (present?.equals(contents)) return
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${process.pid}.tmp`
  await writeFile(temporary, contents)
  await rename(temporary, path)
}

async function removeOthers(wanted: ReadonlySet<string>): Promise<void> {
  const present = await readdir(DIST, { recursive: true, withFileTypes: true })
  const files = present
    .filter((item) => item.isFile() && !join(item.parentPath, '/').startsWith(join(TYPES, '/')))
    .map((item) => join(item.parentPath, item.name))
  await Promise.all(files.filter((path) => !wanted.has(path)).map((path) => rm(path, { force: true })))
}

if (import.meta.main) {
  const started = performance.now()
  await build({ keepStale: false })
  console.log(`built ${relative(process.cwd(), DIST) || DIST} in ${Math.round(performance.now() - started)} ms`)
}
