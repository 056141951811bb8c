import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { directories, makePrivate } from '../../src/platform/directories.ts'

describe('directories', () => {
  test('are below the home folder when nothing else is said', () => {
    expect(directories({ HOME: '/home/ann' })).toMatchObject({
      config: '/home/ann/.config/blobs',
      data: '/home/ann/.local/share/blobs',
      cache: '/home/ann/.cache/blobs',
      state: '/home/ann/.local/state/blobs',
    })
  })

  test('follow the XDG variables, each with blobs below it', () => {
    const env = {
      HOME: '/h',
      XDG_CONFIG_HOME: '/a',
      XDG_DATA_HOME: '/b',
      XDG_CACHE_HOME: '/c',
      XDG_STATE_HOME: '/d',
      XDG_RUNTIME_DIR: '/e',
    }
    expect(directories(env)).toEqual({
      config: '/a/blobs',
      data: '/b/blobs',
      cache: '/c/blobs',
      state: '/d/blobs',
      runtime: '/e/blobs',
    })
  })

  test('ignore an empty or relative variable, as the specification asks', () => {
    const env = { HOME: '/h', XDG_STATE_HOME: '', XDG_DATA_HOME: 'data', BLOBS_DATA: 'x' }
    expect(directories(env)).toMatchObject({ state: '/h/.local/state/blobs', data: '/h/.local/share/blobs' })
  })

  test('take BLOBS_DATA as the data directory itself', () => {
    expect(directories({ HOME: '/h', XDG_DATA_HOME: '/b', BLOBS_DATA: '/srv/store' }).data).toBe('/srv/store')
  })

  test('without a runtime directory, are one folder a user in the temporary place', () => {
    expect(directories({ HOME: '/h', TMPDIR: '/tmp/x' }).runtime).toBe(`/tmp/x/blobs-${process.getuid?.() ?? 0}`)
  })
})

test('makePrivate makes the folder and those above it readable by their owner alone', () => {
  const base = mkdtempSync(join(tmpdir(), 'blobs-dirs-'))
  chmodSync(base, 0o755)
  const made = makePrivate(join(base, 'a/b'))
  expect(statSync(made).mode & 0o777).toBe(0o700)
  expect(statSync(join(base, 'a')).mode & 0o777).toBe(0o700)
  expect(makePrivate(made)).toBe(made)
  rmSync(base, { recursive: true })
})
