#!/usr/bin/env node
// Builds, then runs what was built: for trying a change out of a checkout.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const sibling = join(root, 'node_modules', 'node', 'bin', 'node')
const runtime = existsSync(sibling) ? sibling : process.execPath
const built = spawnSync(runtime, [join(root, 'scripts', 'build.ts')], { stdio: ['ignore', 'ignore', 'inherit'] })
if (built.status !== 0) process.exit(1)
await import('./run.js')
