import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSecretSource, type Secrets } from '../../src/access/secrets.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-secrets-'))
})
afterEach(() => rm(directory, { recursive: true }))

const loadSecrets = (env: Record<string, string>, directory: string): Promise<Secrets> =>
  openSecretSource(env, directory, Date.now).load()

describe('the secret of a server', () => {
  it('is made at the first start: random, for the owner only, and the same ever after', async () => {
    const data = join(directory, 'new', 'data')
    const first = await loadSecrets({}, data)
    expect(first).toEqual({ current: expect.stringMatching(/^[\w-]{43}$/), previous: null })
    expect((await stat(join(data, 'secret'))).mode & 0o777).toBe(0o600)
    expect((await stat(data)).mode & 0o777).toBe(0o700)
    expect(await loadSecrets({}, data)).toEqual(first)
    expect(await readdir(data)).toEqual(['secret'])
    expect((await loadSecrets({}, directory)).current).not.toBe(first.current)
  })

  it('is one for all processes that start at once', async () => {
    const program = `import { openSecretSource } from ${JSON.stringify(new URL('../../src/access/secrets.ts', import.meta.url).href)}
      process.stdout.write((await openSecretSource({}, process.argv[1], Date.now).load()).current)`
    const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, directory])
    const secrets = await Promise.all(Array.from({ length: 4 }, start))
    expect(new Set(secrets.map((one) => one.stdout)).size).toBe(1)
    expect(await readdir(directory)).toEqual(['secret'])
  })

  it('comes from the environment before the file, with the previous one; empty is not given', async () => {
    expect(await loadSecrets({ TOKEN_SECRET: 'new', TOKEN_SECRET_PREVIOUS: 'old' }, directory)).toEqual({
      current: 'new',
      previous: 'old',
    })
    expect(await readdir(directory)).toEqual([])
    const made = await loadSecrets({ TOKEN_SECRET: '', TOKEN_SECRET_PREVIOUS: '' }, directory)
    expect(made).toEqual({ current: (await readFile(join(directory, 'secret'), 'utf8')).trim(), previous: null })
  })

  it('that others can read is refused, with what to do', async () => {
    await loadSecrets({}, directory)
    await chmod(join(directory, 'secret'), 0o640)
    const error = await loadSecrets({}, directory).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(BlobsError)
    expect(error).toMatchObject({
      message: expect.stringContaining('secret can be read'),
      hint: expect.stringContaining('chmod 600'),
    })
  })

  it('that is empty, or cannot be read, is refused rather than replaced', async () => {
    await writeFile(join(directory, 'secret'), ' \n', { mode: 0o600 })
    await expect(loadSecrets({}, directory)).rejects.toThrow('is empty')
    await rm(join(directory, 'secret'))
    await mkdir(join(directory, 'secret'), { mode: 0o700 })
    await expect(loadSecrets({}, directory)).rejects.toThrow('EISDIR')
  })
})
