import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { exportTo, type ForeignForm, importFrom } from '../../src/transfer/foreign.ts'
import { collect, openPlace, type Place } from './place.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

interface Told {
  readonly kind: string
  readonly name: string
}

async function bring(place: Place, form: ForeignForm, path: string, more: object = {}): Promise<readonly Told[]> {
  return collect(importFrom(place.context(), { form, path, prefix: '', dryRun: false, again: false, ...more }))
}

async function give(place: Place, form: ForeignForm, path: string, more: object = {}): Promise<readonly Told[]> {
  return collect(exportTo(place.context(), { form, path, prefix: '', dryRun: false, ...more }))
}

function kinds(told: readonly Told[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of told) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** Every file below a folder, with its bytes. */
function census(folder: string, below = ''): Record<string, string> {
  const all: Record<string, string> = {}
  for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) Object.assign(all, census(folder, path))
    else all[path] = readFileSync(join(folder, path), 'latin1')
  }
  return all
}

const versions = async ({ store }: Place): Promise<number> =>
  (await store.list({ versions: true, deleted: true, limit: 10_000 })).items.length

describe('a data directory of seed 000', () => {
  const pathOf = (ref: string): string => join('data', ref.slice(0, 2), `${ref}.json`)
  const text = (data: string | undefined, version: number, more: object = {}): string =>
    `${JSON.stringify({ data, version, created: 1_795_258_791_746, ...(version > 1 ? { updated: 1_795_258_799_999 } : {}), ip: 'unknown', ...more })}\n`

  const fill = (place: Place): Record<string, string> => {
    for (let index = 0; index < 300; index++) {
      const bytes = randomBytes(index % 50 === 0 ? 740_000 : index)
      const data = bytes.length === 0 ? undefined : bytes.toString('base64')
      place.write(pathOf(sha(`ref ${index}`)), text(data, 1 + (index % 7), index % 5 === 0 ? { ip: '10.0.0.1' } : {}))
    }
    place.write(pathOf(sha('odd tail')), text('aGl=', 3))
    place.write(pathOf(sha('named data')), text('data', 3))
    place.write(pathOf(sha('spaced')), '{ "version": 2, "data": "aGk=",\n "ip": "x", "created": 5, "other": [1] }')
    place.write(pathOf(sha('long version')), '{"data":"aGk=","version":1e3,"created":1,"ip":"unknown"}\n')
    place.write(pathOf(sha('UPPER').toUpperCase()), text('aGk=', 1))
    return census(place.path('data'))
  }

  it('comes out as it went in, byte for byte, and importing again makes no versions', async () => {
    await using place = await openPlace()
    const before = fill(place)
    expect(kinds(await bring(place, 'blobs-storage', place.path('data')))).toEqual({ done: 305 })
    expect(await versions(place)).toBe(305)
    expect(kinds(await bring(place, 'blobs-storage', place.path('data')))).toEqual({ unchanged: 305 })
    expect(await versions(place)).toBe(305)
    expect(kinds(await give(place, 'blobs-storage', place.path('out')))).toEqual({ done: 305 })
    expect(census(place.path('out'))).toEqual(before)
    expect(kinds(await give(place, 'blobs-storage', place.path('out')))).toEqual({ unchanged: 305 })
  })

  it('has each blob as its clients know it', async () => {
    await using place = await openPlace()
    const ref = sha('one')
    place.write(pathOf(ref), text(Buffer.from('hello').toString('base64'), 7))
    await bring(place, 'blobs-storage', place.path('data'))
    const info = await place.store.head(ref)
    expect(info).toMatchObject({ key: ref, size: 5, hash: sha('hello'), version: 1 })
    expect(info?.meta).toEqual({
      'stored-version': '7',
      'stored-created': '1795258791746',
      'stored-updated': '1795258799999',
      'stored-ip': '"unknown"',
    })
  })

  it('counts by its backups where a file is missing or spoiled, and names what cannot be read', async () => {
    await using place = await openPlace()
    const [whole, torn, lost, gone, both] = ['whole', 'torn', 'lost', 'gone', 'both'].map(sha) as [
      string,
      string,
      string,
      string,
      string,
    ]
    const good = (of: string): string => text(Buffer.from(of).toString('base64'), 2)
    place.write(pathOf(whole), good('new'))
    place.write(`${pathOf(whole)}.backup`, good('old'))
    place.write(pathOf(torn), good('new').slice(0, 30))
    place.write(`${pathOf(torn)}.backup`, good('old'))
    place.write(`${pathOf(lost)}.backup`, good('old'))
    for (const [ref, content] of [
      [gone, ''],
      [both, 'null\n'],
    ] as const)
      place.write(pathOf(ref), content)
    place.write(`${pathOf(both)}.backup`, '{"version":1')
    place.write(join('data', 'aa', 'notes.txt'), 'x')
    place.write(join('data', 'aa', `${sha('elsewhere')}.json`), good('x'))
    place.write(join('data', 'README'), 'x')
    const told = await bring(place, 'blobs-storage', place.path('data'))
    expect(kinds(told)).toEqual({ done: 3, failed: 2, skipped: 3 })
    const failed = told.filter(({ kind }) => kind === 'failed')
    expect(failed.map(({ name }) => name).toSorted()).toEqual(
      [gone, both].map((ref) => place.path(pathOf(ref))).toSorted(),
    )
    for (const { error } of failed as unknown as { error: unknown }[]) expect(error).toMatchObject({ code: 'Corrupt' })
    const bytes = async (ref: string) => {
      const blob = await place.store.get(ref)
      return blob === null ? null : Buffer.concat(await collect(blob.stream)).toString()
    }
    expect(await Promise.all([whole, torn, lost, gone].map(bytes))).toEqual(['new', 'old', 'old', null])
  })

  it('any text that is a blob there is given back, or refused', async () => {
    await using place = await openPlace()
    const values = fc.record(
      {
        data: fc.oneof(fc.base64String(), fc.string(), fc.constant('')),
        version: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
        created: fc.jsonValue(),
        updated: fc.jsonValue(),
        ip: fc.jsonValue(),
        more: fc.jsonValue(),
      },
      { requiredKeys: ['version'] },
    )
    const texts = fc
      .tuple(values, fc.constantFrom('', '\n', ' \r\n'), fc.constantFrom(0, 1))
      .map(([value, end, indent]) => JSON.stringify(value, null, indent) + end)
    let run = 0
    await fc.assert(
      fc.asyncProperty(texts, async (content) => {
        const [ref, from, to] = [sha(`${run}`), `from${run}`, `to${run}`]
        run += 1
        place.write(join(from, ref.slice(0, 2), `${ref}.json`), content)
        const told = await bring(place, 'blobs-storage', place.path(from), { prefix: `${from}/` })
        if (told[0]?.kind === 'failed') return
        await give(place, 'blobs-storage', place.path(to), { prefix: `${from}/` })
        expect(Object.values(census(place.path(to)))).toEqual([Buffer.from(content).toString('latin1')])
      }),
      { numRuns: 60 },
    )
  })

  it('what changed here since is left alone, unless it is to come again', async () => {
    await using place = await openPlace()
    const [a, b] = [sha('a'), sha('b')]
    for (const ref of [a, b]) place.write(pathOf(ref), text('aGk=', 4))
    await bring(place, 'blobs-storage', place.path('data'))
    await place.store.commit([
      { id: 'f'.repeat(32), changes: [{ type: 'delete', key: b, expect: 'any' }] },
      {
        id: 'e'.repeat(32),
        changes: [
          {
            type: 'put',
            key: a,
            expect: 'any',
            contentType: 'a/b',
            meta: {},
            hash: sha(''),
            size: 0,
            body: { depth: 0, refs: [] },
          },
        ],
      },
    ])
    expect(kinds(await bring(place, 'blobs-storage', place.path('data')))).toEqual({ skipped: 2 })
    await give(place, 'blobs-storage', place.path('out'))
    const [[, given = ''] = []] = Object.entries(census(place.path('out')))
    // It goes on counting from what came.
    expect(JSON.parse(given)).toEqual({
      version: 5,
      created: 1_795_258_791_746,
      updated: expect.any(Number),
      ip: 'unknown',
    })
    expect(kinds(await bring(place, 'blobs-storage', place.path('data'), { again: true }))).toEqual({ done: 2 })
    expect(kinds(await bring(place, 'blobs-storage', place.path('data'), { again: true }))).toEqual({ unchanged: 2 })
    rmSync(place.path('out'), { recursive: true })
    await give(place, 'blobs-storage', place.path('out'))
    expect(census(place.path('out'))).toEqual(census(place.path('data')))
  })

  it('a backup beside what is exported does not come back over it', async () => {
    await using place = await openPlace()
    const ref = sha('a')
    place.write(pathOf(ref), text('aGk=', 4))
    await bring(place, 'blobs-storage', place.path('data'))
    place.write(join('out', ref.slice(0, 2), `${ref}.json.backup`), text('b2xk', 3))
    await give(place, 'blobs-storage', place.path('out'))
    expect(census(place.path('out'))).toEqual(census(place.path('data')))
  })

  it('the folder above a bucket is told from a bucket', async () => {
    await using place = await openPlace()
    place.write(join('storage', 'notes', 'aa', `aa${'0'.repeat(62)}.json`), text('aGk=', 1))
    await expect(bring(place, 'blobs-storage', place.path('storage'))).rejects.toMatchObject({
      code: 'InvalidRequest',
      hint: expect.stringContaining(join('storage', 'notes')),
    })
    expect(await bring(place, 'blobs-storage', (mkdirSync(place.path('empty')), place.path('empty')))).toEqual([])
  })
})

describe('a database of seed 002', () => {
  const ODD = ['', '/', 'a/b', 'a//b', '%', '%null', 'e\u0301', '☂', 'x\0y', '..', ' ', 'k'.repeat(900)]

  function makeDatabase(path: string): void {
    const db = new DatabaseSync(path)
    db.exec('CREATE TABLE MyStore (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
    db.exec('CREATE INDEX MyStore_KEY_INDEX on MyStore (key)')
    db.exec('CREATE TABLE "odd ""name/" (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
    db.exec('CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
    db.exec(
      'CREATE TABLE second (change_id INTEGER PRIMARY KEY AUTOINCREMENT, change_type TEXT, record_key TEXT, index_values TEXT, record_value TEXT)',
    )
    db.exec('CREATE TABLE other (a TEXT)')
    const add = db.prepare('INSERT INTO MyStore (key, type, value) VALUES (?, ?, ?)')
    db.exec('BEGIN')
    for (let index = 0; index < 400; index++) {
      const key = `key ${index % 90}`
      add.run(key, index % 4 === 3 ? 'DELETE' : 'ADD', index % 4 === 3 ? null : `value ${index}`)
    }
    for (const key of ODD) add.run(key, 'ADD', `of ${key}`)
    add.run(null, 'ADD', 'no key')
    for (const value of ['', null, 'x'.repeat(1_200_000), Buffer.from([0xff, 0, 1]), '☂\0'])
      add.run('values', 'ADD', value)
    for (let time = 0; time < 3; time++) add.run('never there', 'DELETE', null)
    db.exec('DELETE FROM MyStore WHERE id % 17 = 0')
    db.prepare('INSERT INTO "odd ""name/" VALUES (5, ?, ?, ?)').run('k', 'ADD', 'v')
    const second = db.prepare(
      'INSERT INTO second (change_type, record_key, index_values, record_value) VALUES (?, ?, ?, ?)',
    )
    second.run('ADD', 'k', '', 'v')
    second.run('ADD', 'l', '["x","y"]', null)
    second.run('DELETE', 'k', '', null)
    second.run('DELETE', 'l', null, null)
    second.run('DELETE', 'never', '[]', null)
    db.exec('COMMIT')
    db.close()
  }

  function rowsOf(path: string): Record<string, unknown[]> {
    const db = new DatabaseSync(path, { readOnly: true })
    const tables = ['MyStore', 'odd "name/', 'empty', 'second']
    const all = Object.fromEntries(
      tables.map((table) => [
        table,
        db
          .prepare(
            `SELECT *, typeof(${table === 'second' ? 'record_value' : 'value'}) AS kind FROM "${table.replaceAll('"', '""')}" ORDER BY 1`,
          )
          .all(),
      ]),
    )
    db.close()
    return all
  }

  it('comes out with equal rows, and importing again makes no versions', async () => {
    await using place = await openPlace()
    makeDatabase(place.path('app.db'))
    const bytes = readFileSync(place.path('app.db'))
    const told = await bring(place, 'changelog', place.path('app.db'))
    const before = rowsOf(place.path('app.db'))
    const rows = Object.values(before).reduce((sum, all) => sum + all.length, 0)
    expect(kinds(told)).toEqual({ done: rows, skipped: 1 })
    expect(readFileSync(place.path('app.db')).equals(bytes)).toBe(true)
    expect(readdirSync(place.folder)).toEqual(['app.db'])
    const count = await versions(place)
    expect(kinds(await bring(place, 'changelog', place.path('app.db')))).toEqual({ unchanged: rows, skipped: 1 })
    expect(await versions(place)).toBe(count)
    expect(kinds(await give(place, 'changelog', place.path('out.db')))).toEqual({ done: rows })
    expect(rowsOf(place.path('out.db'))).toEqual(before)
    expect(readdirSync(place.folder).toSorted()).toEqual(['app.db', 'out.db'])
    const twice = await collect(
      importFrom(place.context(), {
        form: 'changelog',
        path: place.path('out.db'),
        prefix: 'p/',
        dryRun: false,
        again: false,
      }),
    )
    expect(kinds(twice)).toEqual({ done: rows })
    await give(place, 'changelog', place.path('again.db'), { prefix: 'p/' })
    expect(rowsOf(place.path('again.db'))).toEqual(before)
  })

  it('rows that come later are added to those before, here and there', async () => {
    await using place = await openPlace()
    const path = place.path('app.db')
    makeDatabase(path)
    await bring(place, 'changelog', path)
    const db = new DatabaseSync(path)
    db.prepare('INSERT INTO MyStore (key, type, value) VALUES (?, ?, ?)').run('later', 'ADD', 'v')
    db.close()
    expect(kinds((await bring(place, 'changelog', path)).filter(({ kind }) => kind === 'done'))).toEqual({ done: 1 })
    const key = 'MyStore/made here'
    const put = {
      type: 'put',
      key,
      expect: 'any',
      contentType: 'text/plain',
      meta: {},
      hash: sha(''),
      size: 0,
      body: { depth: 0, refs: [] },
    } as const
    await place.store.commit([
      { id: 'd'.repeat(32), changes: [put] },
      { id: 'c'.repeat(32), changes: [{ type: 'delete', key, expect: 'any' }] },
    ])
    await give(place, 'changelog', place.path('out.db'))
    const before = rowsOf(path)['MyStore'] ?? []
    const after = (rowsOf(place.path('out.db'))['MyStore'] ?? []) as { id: number; key: string; type: string }[]
    expect(after.slice(0, before.length)).toEqual(before)
    expect(after.slice(before.length).map(({ key, type }) => [key, type])).toEqual([
      ['made here', 'ADD'],
      ['made here', 'DELETE'],
    ])
    expect(after.every(({ id }, index) => index === 0 || id > (after[index - 1]?.id ?? 0))).toBe(true)
  })

  it('names rows that cannot be kept, and goes on', async () => {
    await using place = await openPlace()
    const db = new DatabaseSync(place.path('app.db'))
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
    const add = db.prepare('INSERT INTO t (key, type, value) VALUES (?, ?, ?)')
    add.run('a', 'CHANGE', 'v')
    add.run('b', 'DELETE', 'v')
    add.run(Buffer.from([1]), 'ADD', 'v')
    add.run('x'.repeat(1100), 'ADD', 'v')
    add.run('good', 'ADD', 'v')
    db.exec("INSERT INTO t (key, type, value) VALUES (CAST(x'ff' AS TEXT), 'ADD', 'v')")
    db.close()
    const told = await bring(place, 'changelog', place.path('app.db'))
    expect(told.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'failed t/1',
      'failed t/2',
      'failed t/3',
      'failed t/4',
      'done t/5',
      'failed t/6',
    ])
  })

  it('is refused when it is none, and never written over', async () => {
    await using place = await openPlace()
    await expect(bring(place, 'changelog', place.path('none.db'))).rejects.toMatchObject({ code: 'NotFound' })
    place.write('text.db', 'this is no database, however long it may be'.repeat(100))
    await expect(bring(place, 'changelog', place.path('text.db'))).rejects.toMatchObject({ code: 'Corrupt' })
    await expect(give(place, 'changelog', place.path('text.db'))).rejects.toMatchObject({ code: 'AlreadyExists' })
    expect(readdirSync(place.folder)).toEqual(['text.db'])
  })
})

describe('a folder of content by its address', () => {
  it('comes out as it went in, and importing again makes no versions', async () => {
    await using place = await openPlace()
    for (let index = 0; index < 300; index++) {
      const bytes = randomBytes(index === 7 ? 3_000_000 : index * 3)
      place.write(join('data', sha(bytes)), bytes)
    }
    const before = census(place.path('data'))
    const count = Object.keys(before).length
    place.write('data/.tmp-123', 'half')
    place.write(`data/${'A'.repeat(64)}`, 'upper')
    place.write(`data/${sha('other')}`, 'not this')
    mkdirSync(place.path('data', sha('folder')))
    const told = await bring(place, 'addresses', place.path('data'))
    expect(kinds(told)).toEqual({ done: count, failed: 1, skipped: 3 })
    expect(told.find(({ kind }) => kind === 'failed')).toMatchObject({
      name: place.path('data', sha('other')),
      error: { code: 'Corrupt' },
    })
    expect(kinds(await bring(place, 'addresses', place.path('data')))).toEqual({
      unchanged: count,
      failed: 1,
      skipped: 3,
    })
    expect(await versions(place)).toBe(count)
    expect(kinds(await give(place, 'addresses', place.path('out')))).toEqual({ done: count })
    expect(census(place.path('out'))).toEqual(before)
    const [name = ''] = Object.keys(before)
    writeFileSync(place.path('out', name), randomBytes(statSync(place.path('out', name)).size + 1))
    expect(kinds(await give(place, 'addresses', place.path('out')))).toEqual({ unchanged: count - 1, done: 1 })
    expect(census(place.path('out'))).toEqual(before)
  })

  it('leaves out keys that are no addresses and bytes that are not theirs', async () => {
    await using place = await openPlace()
    const body = { depth: 0, refs: [] }
    const put = (key: string) =>
      ({ type: 'put', key, expect: 'any', contentType: 'a/b', meta: {}, hash: sha(''), size: 0, body }) as const
    await place.store.commit([{ id: 'd'.repeat(32), changes: [put('notes'), put(sha('x')), put(sha(''))] }])
    expect(kinds(await give(place, 'addresses', place.path('out')))).toEqual({ done: 1, failed: 1, skipped: 1 })
    expect(Object.keys(census(place.path('out')))).toEqual([sha('')])
  })
})

it('an import that was cut short anywhere goes on where it was', async () => {
  await using place = await openPlace()
  const db = new DatabaseSync(place.path('app.db'))
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
  const add = db.prepare('INSERT INTO t (key, type, value) VALUES (?, ?, ?)')
  db.exec('BEGIN')
  for (let index = 0; index < 1300; index++) {
    add.run(`k${index % 7}`, index % 3 === 0 ? 'DELETE' : 'ADD', index % 3 === 0 ? null : String(index))
  }
  db.exec('COMMIT')
  const rows = db.prepare('SELECT * FROM t ORDER BY id').all()
  db.close()
  let left = 0
  const store = {
    ...place.store,
    commit: async (entries: Parameters<typeof place.store.commit>[0]) => {
      // Cut in the middle of what is committed together.
      const some = entries.slice(0, left)
      left -= some.length
      const outcomes = await place.store.commit(some)
      if (some.length < entries.length) throw new BlobsError('Unavailable', 'cut')
      return outcomes
    },
  }
  const options = { form: 'changelog', path: place.path('app.db'), prefix: '', dryRun: false, again: false } as const
  for (let cut = 0; ; cut++) {
    left = 1 + ((cut * 137) % 400)
    const done = await collect(importFrom(place.context({ store }), options)).catch(() => null)
    if (done !== null) break
    expect(cut).toBeLessThan(100)
  }
  await give(place, 'changelog', place.path('out.db'))
  const out = new DatabaseSync(place.path('out.db'), { readOnly: true })
  expect(out.prepare('SELECT * FROM t ORDER BY id').all()).toEqual(rows)
  out.close()
})

it('a dry run changes nothing', async () => {
  await using place = await openPlace()
  place.write(join('data', sha('x')), 'x')
  expect(kinds(await bring(place, 'addresses', place.path('data'), { dryRun: true }))).toEqual({ done: 1 })
  expect(await versions(place)).toBe(0)
  await bring(place, 'addresses', place.path('data'))
  for (const form of ['blobs-storage', 'changelog', 'addresses'] as const) {
    await give(place, form, place.path('out', form), { dryRun: true })
  }
  expect(existsSync(place.path('out'))).toBe(false)
})
