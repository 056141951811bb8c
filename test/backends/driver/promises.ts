import { expect, it } from 'vitest'
import { ABILITIES } from '../../../src/store/ports.ts'
import { openPlaceOf } from './open.ts'
import type { Service } from './service.ts'

/** What a backend declares is what it has. */
export function promisesTold(scheme: string, service: () => Service, bucket: string): void {
  it('declares what it cannot do, each with a reason, and has the parts for what it can', async () => {
    const backend = await openPlaceOf(await service().place(), service())
    try {
      const { name, cannot } = backend.promises
      expect(name).not.toBe('')
      for (const [ability, reason] of Object.entries(cannot)) {
        expect(ABILITIES).toContain(ability)
        expect(reason.length).toBeGreaterThan(10)
      }
      expect(scheme).toMatch(/^[a-z0-9+]+$/)
      await backend.create(bucket)
      const ports = await backend.open(bucket)
      expect(ports?.log.trimming === undefined).toBe(cannot.trimming !== undefined)
      expect(ports?.content.sweeping === undefined).toBe(cannot.sweeping !== undefined)
      await ports?.log.close()
      await ports?.content.close()
    } finally {
      await backend.close()
    }
  })
}
