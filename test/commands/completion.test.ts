import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMachine, type Machine, type Server } from './blobs.ts'

/** Each script in its own shell. A shell that this machine lacks is a visible skip; `.ci/run` installs them all. */
let machine: Machine
let server: Server
let token: string
beforeAll(async () => {
  machine = openMachine()
  server = await machine.serve()
  token = (await machine.blobs(['token', 'create', 'remote', '--data', server.data, '-q'])).stdout.trim()
  await machine.blobs(['bucket', 'create', 'team'])
  await machine.blobs(['bucket', 'create', 'notes'])
  const put = (target: string, env = {}): Promise<unknown> => machine.blobs(['put', '-', target], { input: 'x', env })
  await put('team/photos/2025/a b.jpg')
  await put('team/plan.md')
  await put("team/pho$t'o")
  await put(`${server.url}/remote/far/away.txt`, { BLOBS_TOKEN: token })
  machine.write('report.pdf', '')
  machine.write('config-home/blobs/config.toml', '[profiles.work]\n[profiles.other]\n')
})
afterAll(() => machine.dispose())

/** Lines to complete at their end, and some of what must, or must not, be offered. */
type Case = readonly [line: string, offered: readonly string[], never?: string]
const CASES: readonly Case[] = [
  ['blobs his', ['history'], 'ls'],
  ['blobs bucket cr', ['create']],
  ['blobs bucket ', ['create', 'ls', 'rm', 'set'], 'history'],
  ['blobs ls --rec', ['--recursive'], '--long'],
  ['blobs ls ', ['notes/', 'team/']],
  ['blobs cat te', ['team/'], 'notes/'],
  ['blobs cat team/p', ['team/photos/', 'team/plan.md']],
  ['blobs cp team/photos/20', ['team/photos/2025/']],
  ['blobs bucket rm ', ['notes', 'team'], 'team/'],
  ['blobs put rep', ['report.pdf'], 'team/'],
  ['blobs put report.pdf te', ['team/']],
  ['blobs ls --profile ', ['work', 'other']],
  ['blobs completion ', ['bash', 'zsh', 'fish']],
  ['blobs config get ', ['server', 'token-file', 'ca-cert']],
]

/** A command, a flag, a bucket, keys, a file, a profile: the rest is the same in every shell. */
const ESSENTIAL = [0, 3, 4, 6, 9, 11].flatMap((index) => CASES.slice(index, index + 1))

function has(shell: string): boolean {
  return spawnSync(shell, ['-c', 'exit 0']).status === 0
}
const env = (): Record<string, string> => ({ XDG_CONFIG_HOME: machine.path('config-home') })

describe('bash', { concurrent: true, skip: !has('bash') }, () => {
  const complete = async (line: string, more: Record<string, string> = {}): Promise<string[]> => {
    const script = `source <(blobs completion bash); COMP_LINE=$LINE; COMP_POINT=\${#LINE}
      eval "COMP_WORDS=($WORDS)"; COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _blobs; printf '%s\\n' "\${COMPREPLY[@]}"`
    // As readline cuts a line: also at a colon.
    const words = line.split(/ |(?<=:)|(?=:)/).map((word) => `'${word}'`)
    const { stdout } = await machine.shell('exec bash -c "$SCRIPT"', {
      env: { ...env(), ...more, SCRIPT: script, LINE: line, WORDS: words.join(' ') },
    })
    return stdout.split('\n').filter(Boolean)
  }
  test.each(CASES.map((one) => [one[0], one] as const))('%s', async (_, [line, offered, never = 'nothing']) => {
    const found = await complete(line)
    expect(found).toEqual(expect.arrayContaining([...offered]))
    expect(found).not.toContain(never)
  })
  test('what needs quotes is quoted, and what is quoted is understood', async () => {
    expect(await complete('blobs cat team/photos/2025/')).toEqual(['team/photos/2025/a\\ b.jpg'])
    expect(await complete('blobs cat team/photos/2025/a\\ ')).toEqual(['team/photos/2025/a\\ b.jpg'])
    expect(await complete('blobs cat team/pho')).toContain("team/pho\\$t\\'o")
  })
  test('of a server, after the colons of its URL', async () => {
    expect(await complete(`blobs ls ${server.url}/remote/`, { BLOBS_TOKEN: token })).toEqual([
      `${new URL(server.url).port}/remote/far/`,
    ])
    expect(await complete('blobs ls remote/f', { BLOBS_SERVER: server.url, BLOBS_TOKEN: token })).toEqual([
      'remote/far/',
    ])
  })
  test('a server that is not there leaves the line as it is', async () => {
    expect(await complete('blobs ls te', { BLOBS_SERVER: 'http://127.0.0.1:1' })).toEqual([])
  })
})

describe('fish', { concurrent: true, skip: !has('fish') }, () => {
  const complete = async (line: string): Promise<string[]> => {
    const script = 'blobs completion fish | source; complete -C "$LINE"'
    const { stdout } = await machine.shell('exec fish --no-config -c "$SCRIPT"', {
      env: { ...env(), SCRIPT: script, LINE: line },
    })
    return stdout
      .split('\n')
      .map((one) => one.split('\t')[0] ?? '')
      .filter(Boolean)
  }
  test.each(ESSENTIAL.map((one) => [one[0], one] as const))('%s', async (_, [line, offered, never = 'nothing']) => {
    const found = await complete(line)
    expect(found).toEqual(expect.arrayContaining([...offered]))
    expect(found).not.toContain(never)
  })
})

describe('zsh', { concurrent: true, skip: !has('zsh') }, () => {
  /** Types the line into a zsh on a terminal of its own, and reads back what the line has become. */
  const complete = async (line: string): Promise<string> => {
    const script = `zmodload zsh/zpty
      zpty z zsh -f -i
      send() { zpty -w -n z "$1"; }
      await() { local all= part; while zpty -r -t z part 2>/dev/null || { (( $+2 )); sleep 0.05; }; do
        all+=$part; [[ $all == *$1* ]] && break; (( ++tries > 400 )) && break; done; REPLY=$all; }
      tries=0
      send $'PS1=; unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste; autoload -U compinit; compinit -u -D; setopt list_ambiguous no_beep; LISTMAX=0; source <(blobs completion zsh); print RE""ADY\\n'
      await READY
      send $'show() { print -r -- "<<\${(q)BUFFER}>>"; BUFFER=; zle accept-line }; zle -N show; bindkey "^X" show; print RE""ADY2\\n'
      tries=0; await READY2
      send "$LINE"$'\\t\\x18'
      tries=0; await '>>'
      print -r -- "$REPLY"
      zpty -d z`
    const { stdout } = await machine.shell('exec zsh -f -c "$SCRIPT"', {
      env: { ...env(), SCRIPT: script, LINE: line, TERM: 'dumb', COLUMNS: '200', LINES: '60' },
    })
    return stdout
  }
  test.each(ESSENTIAL.map((one) => [one[0], one] as const))('%s', async (_, [line, offered, never = 'nothing']) => {
    const seen = await complete(line)
    for (const one of offered) expect(seen).toContain(one)
    expect(seen).not.toMatch(new RegExp(`^\\s*${never}( |$)`, 'm'))
  })
})
