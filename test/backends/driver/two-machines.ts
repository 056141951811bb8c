import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openPlace, type Machine } from '../../../scripts/harness.ts'
import { showTarget } from '../../../src/locations/target.ts'
import type { Service } from './service.ts'

/** Two machines, each with a folder, real processes and homes of their own. */
export function twoMachines(service: () => Service, bucket: string): void {
  it('two machines sync a folder; where both edited, the other text becomes a sibling on both', async () => {
    const place = openPlace('blobs-two-')
    const target = showTarget({ location: await service().place(), bucket })
    const env = { ...service().env }
    const [ann, bob] = [place.machine('ann', env), place.machine('bob', env)]
    try {
      const sync = async (machine: Machine): Promise<void> => {
        await machine.must(['sync', 'notes', target])
      }
      mkdirSync(join(ann.home, 'notes', 'deep'), { recursive: true })
      mkdirSync(join(bob.home, 'notes'))
      writeFileSync(join(ann.home, 'notes', 'plan.txt'), 'plan')
      writeFileSync(join(ann.home, 'notes', 'deep', 'large.bin'), Buffer.alloc(1_500_000, 'blobs'))
      await sync(ann)
      await sync(bob)
      expect(treeOf(bob)).toEqual(treeOf(ann))
      writeFileSync(join(ann.home, 'notes', 'plan.txt'), "ann's plan")
      writeFileSync(join(bob.home, 'notes', 'plan.txt'), "bob's plan")
      await sync(ann)
      await sync(bob)
      await sync(ann)
      expect(treeOf(bob)).toEqual(treeOf(ann))
      const plans = [...treeOf(ann)].filter(([name]) => name.startsWith('plan'))
      expect(plans.map(([, text]) => text).sort()).toEqual(["ann's plan", "bob's plan"])
      expect(plans.filter(([name]) => name.includes('.conflict-'))).toHaveLength(1)
    } finally {
      await place.dispose()
    }
  }, 120_000)
}

function treeOf({ home }: Machine): Map<string, string> {
  const root = join(home, 'notes')
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((item) => item.isFile())
  const paths = files.map((item) => join(item.parentPath, item.name).slice(root.length + 1)).sort()
  return new Map(
    paths.filter((path) => !path.startsWith('.blobs/')).map((path) => [path, readFileSync(join(root, path), 'latin1')]),
  )
}
