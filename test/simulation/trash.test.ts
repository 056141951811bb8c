import { expect, test } from 'vitest'
import { openCoverage } from './coverage.ts'
import { ROOT } from './person.ts'
import { openWorld } from './world.ts'

const DAY = 24 * 3_600_000

test('the trash is cleared while both sides are followed, too', async () => {
  const options = { seed: 1, devices: 2, caseBlind: false, canExchange: true, retries: false, maxDelete: null }
  const world = await openWorld({ ...options, coverage: openCoverage() })
  const [here, there] = world.devices
  if (here === undefined || there === undefined) throw new Error('there are two devices')
  const trashed = (): string[] =>
    [...here.disk.tree(`${ROOT}/.blobs/trash`).keys()].filter((path) => path.endsWith('/x'))
  there.person.do({ type: 'write', path: 'x', text: 'replaced', style: 'rename' })
  await there.sync()
  here.live()
  await here.rest()
  there.person.do({ type: 'write', path: 'x', text: 'new', style: 'rename' })
  await there.sync()
  await here.rest()
  expect(trashed()).toHaveLength(1)
  here.stepClock(29 * DAY)
  await world.scheduler.finish(world.scheduler.sleep(2 * 3_600_000))
  expect(trashed()).toHaveLength(1)
  here.stepClock(2 * DAY)
  await world.scheduler.finish(world.scheduler.sleep(2 * 3_600_000))
  expect(trashed()).toEqual([])
  await here.quit()
  world.close()
})
