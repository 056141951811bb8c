import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { chanceOf } from '../simulation/chance.ts'
import { alter } from './altered.ts'
import { useScene, type Victim } from './scene.ts'

/** Histories in which a server's answers are altered at random: more by `BLOBS_FUZZ_RUNS=1000`. */
const RUNS = Number(process.env['BLOBS_FUZZ_RUNS'] ?? 40)
const WAITS = { connect: 1000, answer: 1000, silence: 300, feed: 300, grace: 1000 }
const OWN = 6

const scene = useScene()

/** Every text below a folder, `.blobs` included: what was replaced is in its trash. */
function texts(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
}

async function attempt(victim: Victim): Promise<void> {
  try {
    await victim.sync()
  } catch (error) {
    expect(isBlobsError(error), String((error as Error).stack)).toBe(true)
  }
}

it(
  'an agent whose server alters its answers at random writes nothing outside, loses nothing of its own, and comes to an end',
  { timeout: Math.max(240_000, RUNS * 3000) },
  async () => {
    let altered = 0
    const run = async (seed: number): Promise<void> => {
      const chance = chanceOf(seed)
      const { liar } = scene
      liar.reset()
      for (let n = 0; n < 8; n++) liar.set(n < 6 ? `f${n}` : `d/f${n}`, `bytes ${n} `.repeat(1 + chance.below(40)))
      const victim = await scene.victim('hasty', { waits: WAITS })
      const own = Array.from({ length: OWN }, (_, n) => `own bytes ${n} of ${seed}`)
      for (const [n, text] of own.entries()) victim.folder.write(n < 3 ? `own${n}` : `d/own${n}`, text)
      const marker = readFileSync(join(victim.folder.root, '.blobs', 'root.json'), 'utf8')
      const rate = chance.pick([0.05, 0.2, 0.5])
      if (chance.often(0.5)) await attempt(victim)
      liar.lie = (_asked, response) => {
        if (!chance.often(rate)) return false
        altered++
        alter(response, chance)
        return false
      }
      const started = performance.now()
      for (let turn = 0; turn < 3; turn++) {
        liar.set(`f${chance.below(6)}`, `news ${turn} of ${seed}`)
        if (chance.often(0.5)) liar.remove(`d/f${6 + chance.below(2)}`)
        await attempt(victim)
        const there = texts(victim.folder.root)
        for (const text of own) expect(there, `${text} is gone`).toContain(text)
        const edit = chance.below(OWN)
        own[edit] = `edited ${turn} of ${seed}`
        victim.folder.write(edit < 3 ? `own${edit}` : `d/own${edit}`, own[edit])
      }
      expect(performance.now() - started).toBeLessThan(60_000)
      expect(readFileSync(join(victim.folder.root, '.blobs', 'root.json'), 'utf8')).toBe(marker)
      victim.checkOutside()
      liar.lie = () => false
    }
    await fc.assert(fc.asyncProperty(fc.integer(), run), { numRuns: RUNS, endOnFailure: true })
    expect(altered).toBeGreaterThan(RUNS)
  },
)
