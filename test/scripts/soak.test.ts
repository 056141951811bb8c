import { renameSync, writeFileSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openPlace } from '../../scripts/harness.ts'
import { taking } from '../../scripts/soak/held.ts'
import { hashOf, openLedger, type Ledger } from '../../scripts/soak/ledger.ts'
import { soak } from '../../scripts/soak/soak.ts'

/** Other work: `SOAK_SEED=7`. */
const SEED = Number(process.env['SOAK_SEED'] ?? 20_260_101)
const MILLISECONDS = 25_000

test(
  `agents and a server that are killed and cut off while people save lose nothing and agree (seed ${SEED})`,
  {
    timeout: 4 * MILLISECONDS,
  },
  async () => {
    const place = openPlace('blobs-soak-')
    try {
      const { findings, quietPoints, chaos } = await soak({ seed: SEED, milliseconds: MILLISECONDS, place })
      expect(findings.map(({ law, text }) => `${law}\n${text}`)).toEqual([])
      expect(quietPoints).toBeGreaterThan(0)
      expect(chaos.get('kill -9 of an agent')).toBeGreaterThan(0)
    } finally {
      await place.dispose()
    }
  },
)

const NOTHING: ReadonlySet<string> = new Set()

function ledgerWith(...hashes: string[]): Ledger {
  const ledger = openLedger(() => 0)
  for (const hash of hashes) ledger.saved({ hash, writer: 'ann', path: 'a', how: 'in place', size: 1 })
  return ledger
}

test('what was saved and is nowhere is missing, and told once', () => {
  const ledger = ledgerWith('h1', 'h2')
  expect(ledger.missing(new Set(['h2']), NOTHING).saves).toMatchObject([{ hash: 'h1', path: 'a' }])
  expect(ledger.missing(new Set(['h2']), NOTHING).saves).toEqual([])
})

test('bytes are excused when their own writer destroys the last copy before the bucket had them, and only then', () => {
  const ledger = ledgerWith('mine', 'twice', 'sent', 'kept')
  ledger.copied('ann', 'twice')
  ledger.witnessed('sent', 'a')
  for (const hash of ['mine', 'twice', 'sent']) ledger.destroyed('ann', hash)
  ledger.destroyed('bob', 'kept')
  expect(ledger.missing(NOTHING, new Set(['sent'])).saves.map(({ hash }) => hash)).toEqual(['twice', 'sent', 'kept'])
})

test('what the bucket once had must stay in its history, wherever else it is', () => {
  const ledger = ledgerWith()
  ledger.witnessed('v1', 'a')
  expect(ledger.missing(new Set(['v1']), NOTHING).acknowledged).toEqual([{ hash: 'v1', path: 'a' }])
})

test('a file that an agent moved away in the last moment was not destroyed by the save that took its name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-soak-'))
  const [file, next, trash] = ['file', 'next', 'trash'].map((name) => join(folder, name)) as [string, string, string]
  const [old, sent] = [hashOf(Buffer.from('old')), hashOf(Buffer.from('sent'))]
  const ledger = ledgerWith(old, sent)
  writeFileSync(file, 'old')
  writeFileSync(next, 'next')
  taking(ledger, 'ann', file, () => {
    renameSync(file, trash)
    writeFileSync(file, 'from the agent')
    renameSync(next, file)
  })
  expect(ledger.missing(new Set([sent]), NOTHING).saves.map(({ hash }) => hash)).toEqual([old])
  writeFileSync(file, 'sent')
  taking(ledger, 'ann', file, () => unlinkSync(file))
  expect(ledger.counts().excused).toBe(1)
  rmSync(folder, { recursive: true })
})
