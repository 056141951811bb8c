import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { openOutput, type Output } from '../../src/cli/output.ts'

function watched(): { readonly output: Output; readonly written: string[] } {
  const written: string[] = []
  const stream = (name: string): NodeJS.WriteStream =>
    new Writable({
      write: (bytes: Buffer, _encoding, done) => {
        if (bytes.length > 0) written.push(`${name} ${bytes.toString()}`)
        done()
      },
    }) as unknown as NodeJS.WriteStream
  const streams = { stdout: stream('out'), stderr: stream('err') }
  return { output: openOutput({ json: false, quiet: false }, streams, () => undefined), written }
}

test('lines that come at once leave at once, before anything else happens', async () => {
  const { output, written } = watched()
  for (const text of ['one', 'two', 'three']) output.line(text)
  await Promise.resolve()
  expect(written).toEqual(['out one\ntwo\nthree\n'])
  output.line('four')
  await Promise.resolve()
  expect(written.at(-1)).toBe('out four\n')
})

test('lines and messages stay in order, and so do lines and raw bytes', async () => {
  const { output, written } = watched()
  output.line('one')
  output.message('note')
  output.line('two')
  await output.bytes(Buffer.from('raw'))
  output.line('three')
  await output.flush()
  expect(written).toEqual(['out one\n', 'err note\n', 'out two\n', 'out raw', 'out three\n'])
})

test('very many lines at once are not held until they are all there', () => {
  const { output, written } = watched()
  for (let i = 0; i < 10_000; i++) output.line(`line ${i} of very many`)
  expect(written.length).toBeGreaterThan(1)
  output.dispose()
  expect(written.join('').match(/line/g)).toHaveLength(10_000)
})
