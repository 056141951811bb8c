import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { flameOf } from './flame.ts'
import { openSources } from './sources.ts'
import { addProfile, newTree, roomOf, topOf, type CpuProfile, type Frame, type Share } from './tree.ts'

const ROOMS = 8
const FUNCTIONS = 10
/** Less than this, in microseconds, is of no interest: it made a token. */
const LEAST_WORK = 200_000

/** What one kind of process spent its time on. */
export interface ProfileOf {
  /** As its machine is called. */
  readonly role: string
  readonly text: string
  readonly flame: string
}

/** Of all profiles below a folder that has a folder for each machine; machines that differ by a number are one role. */
export function readProfiles(folder: string): ProfileOf[] {
  const sourceOf = openSources()
  const roles = new Map<string, Frame>()
  for (const machine of readdirSync(folder).toSorted()) {
    const role = machine.replace(/-\d+$/, '')
    const tree = roles.get(role) ?? newTree()
    roles.set(role, tree)
    for (const name of readdirSync(join(folder, machine))) {
      addProfile(tree, JSON.parse(readFileSync(join(folder, machine, name), 'utf8')) as CpuProfile, sourceOf)
    }
  }
  return [...roles]
    .filter(([, { total }]) => total >= LEAST_WORK)
    .map(([role, tree]) => ({ role, text: textOf(role, tree), flame: flameOf(tree) }))
}

function textOf(role: string, tree: Frame): string {
  const rooms = topOf(tree, roomOf, ROOMS)
  const functions = topOf(tree, ({ name, source }) => `${name} (${source})`, FUNCTIONS)
  return [
    `\`${role}\`: ${(tree.total / 1e6).toFixed(1)} s in JavaScript and what it calls, over all threads, waits for a core included.`,
    '',
    `- by room: ${rooms.filter(isNamed).map(shareText).join(' · ')}`,
    `- by function, self: ${functions.filter(isNamed).map(shareText).join(' · ')}`,
  ].join('\n')
}

function isNamed({ share }: Share): boolean {
  return share >= 0.005
}

function shareText({ name, share }: Share): string {
  return `${name.replace(/[*_<|]/g, '\\$&')} ${(share * 100).toFixed(0)} %`
}
