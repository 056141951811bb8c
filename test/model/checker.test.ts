import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyCommands, openModel, stabilize } from './commands.ts'
import { openToys, type Flaw } from './toy.ts'

const RUNS = 1000

async function isFoundOut(flaw: Flaw): Promise<boolean> {
  const commands = anyCommands({ devices: 2, most: 16, inside: true })
  const property = fc.asyncProperty(commands, async (some) => {
    const real = openToys(2, ['f'], flaw)
    const model = openModel(real)
    await fc.asyncModelRun(() => ({ model, real }), some)
    await stabilize(model, real)
  })
  return (await fc.check(property, { numRuns: RUNS, seed: 1, endOnFailure: true })).failed
}

test('an engine that keeps the rules is explained', async () => {
  expect(await isFoundOut('none')).toBe(false)
})

test.each<Flaw>([
  'an edit is overwritten by what comes',
  'a write does not say what it replaces',
  'equal bytes conflict',
  'what is missing becomes a conflict file',
  'a deletion beats an edit',
  'lost memory deletes',
  'a record is made before the act',
  'one device is never told',
])('an engine is found out in which %s', async (flaw) => {
  expect(await isFoundOut(flaw)).toBe(true)
})
