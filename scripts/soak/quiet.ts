import { setTimeout as sleep } from 'node:timers/promises'
import { differences, type Manifest } from '../manifest.ts'
import type { Census } from './census.ts'
import type { Cloud, Version } from './cloud.ts'
import type { Ledger } from './ledger.ts'
import type { AgentProcess, World } from './world.ts'

/** What is wrong at a quiet point; `stuck` when there was none. */
export interface Finding {
  readonly law: 'converges' | 'no loss' | 'history stays' | 'no phantom conflict' | 'gaps explained' | 'agents live'
  readonly text: string
}

const PATIENCE = 90_000
const LOOK_EVERY = 300
/** All trees have to be the same, and stay so, for so many looks. */
const STILL_LOOKS = 3

export interface Quiet {
  readonly findings: readonly Finding[]
  /** Milliseconds until all was still; null: it never was. */
  readonly took: number | null
  readonly files: number
  readonly siblings: number
}

/** Waits until nothing changes any more, then judges. */
export async function quietPoint(world: World, cloud: Cloud, ledger: Ledger, census: Census): Promise<Quiet> {
  const start = performance.now()
  const tree = await settledTree(world, census)
  const findings: Finding[] = world.surprises().map((text) => ({ law: 'agents live', text }))
  if (tree === null) {
    findings.push({ law: 'converges', text: await describe(world, census) })
    return { findings, took: null, files: 0, siblings: 0 }
  }
  const took = performance.now() - start
  const history = await cloud.history()
  findings.push(
    ...bucketDiffers(tree, history),
    ...(await lost(world, history, ledger, census)),
    ...phantoms(tree, ledger),
  )
  for (const agent of world.agents) findings.push(...(await unexplained(agent)))
  const siblings = [...tree.keys()].filter(isSibling).length
  return { findings, took, files: tree.size, siblings }
}

function isSibling(path: string): boolean {
  return /\.conflict-\d{8}T\d{6}Z-/.test(path)
}

async function settledTree(world: World, census: Census): Promise<Manifest | null> {
  let before: Manifest | null = null
  let still = 0
  for (const start = performance.now(); performance.now() - start < PATIENCE;) {
    await sleep(LOOK_EVERY)
    const [first, ...others] = await Promise.all(world.agents.map(({ root }) => census.tree(root)))
    const same = first && others.every((other) => other && differences(first, other, 1).length === 0)
    still = same && before !== null && differences(before, first, 1).length === 0 ? still + 1 : 0
    before = same ? first : null
    if (still === STILL_LOOKS) return before
  }
  return null
}

async function describe(world: World, census: Census): Promise<string> {
  const lines = [`the trees are not the same ${PATIENCE / 1000} s after the last edit`]
  const trees = await Promise.all(world.agents.map(({ root }) => census.tree(root)))
  for (const [index, tree] of trees.entries()) {
    const other = trees[(index + 1) % trees.length]
    const names = `${world.agents[index]?.name} against ${world.agents[(index + 1) % trees.length]?.name}`
    if (tree && other) lines.push(...differences(tree, other, 10).map((line) => `  ${names}: ${line}`))
    else lines.push(`  ${names}: the folder still changes`)
  }
  for (const agent of world.agents) {
    const { out, err } = await agent.machine.run(['status', agent.root])
    lines.push(`status of ${agent.name}:`, out, err)
  }
  return lines.join('\n')
}

/** The bucket's keys against a folder; where a key is also a folder of others, the folder has the name. */
function bucketDiffers(tree: Manifest, history: readonly Version[]): Finding[] {
  const live = new Map<string, Version>()
  for (const version of history)
    if ((live.get(version.key)?.version ?? 0) < version.version) live.set(version.key, version)
  const keys = new Map([...live].filter(([, version]) => !version.deleted))
  const folders = new Set([...keys.keys()].flatMap(foldersOf))
  const lines: string[] = []
  const made = new Set([...tree.keys()].flatMap(foldersOf))
  for (const [key, { hash = '' }] of keys) {
    const here = tree.get(key)
    const there = key.endsWith('/') ? made.has(key.slice(0, -1)) : folders.has(key) || here?.startsWith(`${hash} `)
    if (!there) lines.push(`${key}: ${here ?? 'nothing'} in the folders, ${hash} in the bucket`)
  }
  for (const path of tree.keys()) if (!keys.has(path)) lines.push(`${path}: in the folders, not in the bucket`)
  return lines.length === 0 ? [] : [{ law: 'converges', text: lines.slice(0, 10).join('\n') }]
}

/** The folders that a key makes: for a marker its own too. */
function foldersOf(path: string): string[] {
  const segments = path.replace(/\/$/, '').split('/')
  const above = path.endsWith('/') ? segments : segments.slice(1)
  return above.map((_segment, index) => segments.slice(0, index + 1).join('/'))
}

async function lost(world: World, history: readonly Version[], ledger: Ledger, census: Census): Promise<Finding[]> {
  const kept = new Set(history.flatMap(({ hash }) => (hash === undefined ? [] : [hash])))
  const anywhere = new Set(kept)
  for (const { root } of world.agents) for (const hash of await census.hashes(root)) anywhere.add(hash)
  const { saves, acknowledged } = ledger.missing(anywhere, kept)
  const findings: Finding[] = []
  if (saves.length > 0) {
    const lines = saves.map(
      (save) =>
        `${save.path}: ${save.size} bytes, ${save.how} by ${save.writer} at ${(save.at / 1000).toFixed(2)} s, ${save.hash}`,
    )
    findings.push({ law: 'no loss', text: lines.join('\n') })
  }
  if (acknowledged.length > 0) {
    const text = acknowledged.map(({ hash, path }) => `${path}: ${hash}`).join('\n')
    findings.push({ law: 'history stays', text })
  }
  return findings
}

/** Where only one person writes, nobody can be in conflict. */
function phantoms(tree: Manifest, ledger: Ledger): Finding[] {
  const found = [...tree.keys()].filter((path) => path.startsWith('own-') && isSibling(path) && ledger.isNews(path))
  return found.length === 0 ? [] : [{ law: 'no phantom conflict', text: found.join('\n') }]
}

/** When all is quiet the agent says so, and lists what is not in sync: here nothing but names that a folder has. */
async function unexplained(agent: AgentProcess): Promise<Finding[]> {
  const { out, err } = await agent.machine.run(['status', agent.root, '--json'])
  const status = parse(out)
  const open = status.unsynced?.filter(({ code }) => code !== 'file-and-folder') ?? []
  if (status.state === 'idle' && status.pending?.files === 0 && open.length === 0) return []
  return [{ law: 'gaps explained', text: `${agent.name} is not at rest\n${out}${err}` }]
}

interface Status {
  readonly state?: string
  readonly pending?: { readonly files: number }
  readonly unsynced?: readonly { readonly path: string; readonly code: string }[]
}

function parse(text: string): Status {
  try {
    return JSON.parse(text) as Status
  } catch {
    return {}
  }
}
