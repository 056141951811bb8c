import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readRegistry, withFolders, withoutFolders, writeRegistry } from '../../src/agent/registry.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemIds as ids } from '../../src/platform/system.ts'

let state: string
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'blobs-registry-'))
})
afterEach(() => rmSync(state, { recursive: true, force: true }))

it('begins with nothing, and gives back what was written, which only its owner may read', async () => {
  expect(readRegistry(state)).toEqual({ folders: [], notify: true })
  const registry = { folders: [{ folder: '/a', tokenFile: '/t', maxDelete: { percent: 5 } }], notify: false }
  await writeRegistry(state, registry, { fs: systemFileSystem(), ids })
  expect(readRegistry(state)).toEqual(registry)
  expect(statSync(join(state, 'agent', 'folders.json')).mode & 0o777).toBe(0o600)
})

it('what is said of a folder again replaces what was said before', () => {
  const one = withFolders({ folders: [], notify: true }, [{ folder: '/a', limitRate: 5 }, { folder: '/b' }])
  const two = withFolders(one, [{ folder: '/a' }])
  expect(two.folders).toEqual([{ folder: '/b' }, { folder: '/a' }])
  expect(withoutFolders(two, ['/b', '/c']).folders).toEqual([{ folder: '/a' }])
})

it.each(['', '{', '[]', '{"folders":[{}],"notify":true}', '{"folders":[]}'])(
  'a file that holds %j is told, not taken for empty',
  async (text) => {
    await writeRegistry(state, { folders: [], notify: true }, { fs: systemFileSystem(), ids })
    writeFileSync(join(state, 'agent', 'folders.json'), text)
    expect(() => readRegistry(state)).toThrowError(expect.objectContaining({ code: 'Corrupt' }))
  },
)
