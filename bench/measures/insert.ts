import { spawn } from 'node:child_process'
import { createReadStream, createWriteStream, renameSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Bench } from '../bench.ts'
import { GIB, makeFile, remove } from '../data.ts'
import { atMost, OURS } from '../figures.ts'
import { freePort } from '../../scripts/free-ports.ts'
import { startProgram, system } from '../programs.ts'
import { serve } from '../server.ts'
import { openWire } from '../wire.ts'

const FLOOR = 'read, cut and hash'
const RSYNC = 'rsync to its daemon'
const WHAT = 'one byte inserted in the middle of 1 GiB, sync again'

/** A large file that is there already, and one byte more in its middle. */
export async function measureInsert(bench: Bench): Promise<void> {
  const served = await serve(bench)
  const wire = await openWire(served.server.url)
  const machine = served.client('client')
  const folder = join(machine.home, 'folder')
  const file = join(folder, 'file.bin')
  await system('mkdir', ['-p', folder])
  makeFile(file, GIB)
  await machine.must(['sync', folder, `${wire.url}/bench`, '--quiet'])
  wire.take()
  const daemon = await openRsync(bench, file)
  const sent: number[] = []
  let rsyncSent: number[] = []
  await bench.race({
    id: 'insert.time',
    what: WHAT,
    contenders: [
      {
        name: OURS,
        before: (run) => insertByte(file, run),
        act: async () => void (await machine.must(['sync', folder, '--quiet'])),
        after: () => void sent.push(wire.take().sent),
      },
      { name: FLOOR, act: () => floor(file) },
      {
        name: RSYNC,
        needs: 'rsync',
        act: async () => {
          rsyncSent = [...rsyncSent, await rsyncBytes(file, daemon.target)]
        },
      },
    ],
    targets: [atMost(1.2, FLOOR)],
    notes: [
      'the floor is one process with our own cutter that reads the file, cuts it, and hashes each piece and the whole',
    ],
  })
  bench.report({
    id: 'insert.bytes',
    what: `${WHAT}: bytes sent`,
    unit: 'bytes',
    figures: [{ name: OURS, values: sent }, ...(rsyncSent.length > 0 ? [{ name: RSYNC, values: rsyncSent }] : [])],
    targets: [atMost(2 * 1024 ** 2, null)],
    notes: [],
  })
  await daemon.stop()
  wire.close()
  await served.stop()
}

/** As an editor saves: a new file in the place of the old. */
async function insertByte(file: string, run: number): Promise<void> {
  const next = `${file}.next`
  const out = createWriteStream(next)
  const middle = GIB / 2
  await pipeline(createReadStream(file, { end: middle - 1, highWaterMark: 1 << 20 }), out, { end: false })
  out.write(Buffer.from([run]))
  await pipeline(createReadStream(file, { start: middle, highWaterMark: 1 << 20 }), out)
  renameSync(next, file)
}

/** In a process of its own, as the sync is, which says how long it took without its start. */
async function floor(file: string): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'floor.ts'), file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const text of child.stdout) said += String(text)
  return Number(said)
}

interface Daemon {
  readonly target: string
  stop(): Promise<void>
}

async function openRsync(bench: Bench, file: string): Promise<Daemon> {
  const home = join(bench.place.folder, 'rsyncd')
  await system('mkdir', ['-p', home])
  await system('cp', [file, join(home, 'file.bin')])
  const config = join(bench.place.folder, 'rsyncd.conf')
  writeFileSync(
    config,
    `use chroot = no\nuid = ${process.getuid?.() ?? 0}\ngid = ${process.getgid?.() ?? 0}\n[bench]\npath = ${home}\nread only = no\n`,
  )
  const port = await freePort()
  const server = startProgram('rsync', ['--daemon', '--no-detach', `--config=${config}`, `--port=${port}`])
  return {
    target: `rsync://127.0.0.1:${port}/bench/file.bin`,
    stop: async () => {
      await server.stop()
      remove(home)
    },
  }
}

async function rsyncBytes(file: string, target: string): Promise<number> {
  const child = spawn('rsync', ['-a', '--stats', '--no-human-readable', file, target], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const text of child.stdout) said += String(text)
  return Number((/^Total bytes sent: ([\d,]+)/m.exec(said)?.[1] ?? 'NaN').replaceAll(',', ''))
}
