import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'

const COMMANDS = join(import.meta.dirname, '..', '..', 'dist', 'commands')
const commands = readdirSync(COMMANDS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))

/** Packages that take long to load, and that few need. */
const HEAVY = ['fastify', 'socket.io', 'engine.io', 'ws', 'prom-client']

/** All that is loaded with a file before anything of it runs. */
function loadedWith(file: string, seen = new Map<string, string>()): Map<string, string> {
  if (seen.has(file)) return seen
  const text = readFileSync(file, 'utf8')
  seen.set(file, text)
  for (const [, from, bare] of text.matchAll(/^(?:import|export)\b[^"]*?from "(\.[^"]+)"|^import "(\.[^"]+)"/gm)) {
    loadedWith(resolve(file, '..', from ?? bare ?? ''), seen)
  }
  return seen
}

it.each(commands)('%s begins without what only a server with clients needs', (name) => {
  const texts = [...loadedWith(join(COMMANDS, name)).values()]
  const packages = new Set(
    texts.flatMap((text) => [...text.matchAll(/^\/\/ node_modules\/([^/\n]+)\//gm)].map(([, one]) => one)),
  )
  // That is how the bundle says whose code follows.
  expect(packages).toContain('@oclif')
  expect(HEAVY.filter((one) => packages.has(one))).toEqual([])
})
