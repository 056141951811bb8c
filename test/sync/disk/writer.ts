import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

// A program that saves one file again and again, in every way programs do, for some time. Prints each token once it is saved. It never
// destroys what it has not read: a file that was not there when it looked is made, not overwritten.
const [path = '', seed = '1', milliseconds = '1000'] = process.argv.slice(2)
let state = Number(seed)
const chance = (): number => {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
  return state / 2_147_483_648
}
const saves: ((text: string, line: string) => void)[] = [
  (_, line) => appendFileSync(path, line),
  (text, line) => writeFileSync(path, text + line),
  (text, line) => {
    writeFileSync(`${path}~`, text + line)
    renameSync(`${path}~`, path)
  },
  (text, line) => {
    rmSync(path, { force: true })
    writeFileSync(path, text + line)
  },
]
const read = (): string | null => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
const save = (line: string): void => {
  const text = read()
  if (text !== null) return saves[Math.floor(chance() * saves.length)]?.(text, line)
  try {
    writeFileSync(path, line, { flag: 'wx' })
  } catch {
    save(line)
  }
}
const end = Date.now() + Number(milliseconds)
for (let i = 0; Date.now() < end; i++) {
  const token = `token-${seed}-${i}`
  save(`${token}\n`)
  process.stdout.write(`${token}\n`)
  if (chance() < 0.5) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, chance() * 4)
}
