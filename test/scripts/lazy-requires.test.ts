import { createRequire } from 'node:module'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { requiringLater } from '../../scripts/lazy-requires.ts'

const ASKS = `"use strict";
const other_1 = require("./other.cjs");
exports.make = () => new other_1.Thing((0, other_1.name)());
exports.Other = __importStar(require("./other.cjs"));
function __importStar(mod) { return mod; }
`

it('a module that TypeScript wrote loads what it requires when that is used, and works as before', () => {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-lazy-'))
  try {
    writeFileSync(
      join(folder, 'other.cjs'),
      `globalThis.loaded = (globalThis.loaded ?? 0) + 1
exports.Thing = class { constructor(name) { this.name = name } }
exports.name = () => 'seven'`,
    )
    writeFileSync(join(folder, 'asks.cjs'), requiringLater(ASKS))
    const asks = createRequire(import.meta.url)(join(folder, 'asks.cjs')) as {
      make(): { name: string }
      Other: { name(): string }
    }
    expect(Reflect.get(globalThis, 'loaded')).toBeUndefined()
    expect(asks.make().name).toBe('seven')
    expect(asks.Other.name()).toBe('seven')
    expect(Reflect.get(globalThis, 'loaded')).toBe(1)
  } finally {
    Reflect.deleteProperty(globalThis, 'loaded')
    rmSync(folder, { recursive: true })
  }
})
