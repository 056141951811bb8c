#!/usr/bin/env node
// Plain JavaScript that old versions of Node can read, too: it is this file that tells them that they are too old.
import nodeModule from 'module'
import path from 'path'
import url from 'url'

const OLDEST_MAJOR = 24
const root = path.dirname(path.dirname(url.fileURLToPath(import.meta.url)))

if (Number.parseInt(process.versions.node, 10) >= OLDEST_MAJOR) {
  const caches = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, '.cache'))
  if (caches) nodeModule.enableCompileCache(path.join(caches, 'blobs', 'compile'))
  import('../dist/start.js').then((program) => program.start(process.argv.slice(2), root))
} else {
  Promise.all([import('child_process'), import('fs')]).then(runUnderSibling)
}

/** A checkout of the project carries the right runtime among its packages; an installed `blobs` does not. */
function runUnderSibling([childProcess, fs]) {
  const runtime = path.join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!fs.existsSync(runtime))
    return fail(
      `blobs needs Node ${OLDEST_MAJOR} or newer; this is Node ${process.versions.node} at ${process.execPath}`,
    )
  const child = childProcess.spawn(runtime, process.argv.slice(1), { stdio: 'inherit' })
  // A terminal sends its interrupt to the child as well; passing it on would count as a second one.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`blobs could not start ${runtime}: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
