import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../scripts/free-ports.ts'
import { startProgram, until } from '../programs.ts'

const KEY = 'bench'

export interface SyncthingPair {
  readonly from: string
  readonly to: string
  /** Lets the first look at all of its folder now. */
  rescan(): Promise<void>
  stop(): Promise<void>
}

/** Two instances that know each other and share a folder, at their fastest setting: a watcher that waits a second, the least it knows. */
export async function openSyncthing(place: string): Promise<SyncthingPair> {
  const sides = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const home = join(place, name)
      const folder = join(home, 'folder')
      mkdirSync(join(folder, '.stfolder'), { recursive: true })
      execFileSync('syncthing', ['generate', `--home=${home}`, '--no-default-folder', '--skip-port-probing'], {
        stdio: 'ignore',
      })
      const device = execFileSync('syncthing', ['serve', '--device-id', `--home=${home}`], { encoding: 'utf8' }).trim()
      return { home, folder, device, port: await freePort(), gui: await freePort() }
    }),
  )
  const [one, two] = sides
  if (!one || !two) throw new Error('there are two')
  writeFileSync(join(one.home, 'config.xml'), configOf(one, two))
  writeFileSync(join(two.home, 'config.xml'), configOf(two, one))
  const servers: { stop(): Promise<void> }[] = []
  const ask = async (gui: number, path: string, method = 'GET'): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${gui}/rest/${path}`, { method, headers: { 'X-API-Key': KEY } })
    if (!answer.ok) throw new Error(`Syncthing answered ${answer.status} to ${path}`)
    const text = await answer.text()
    return text === '' ? null : JSON.parse(text)
  }
  const answers = (gui: number): Promise<boolean> =>
    ask(gui, 'system/ping').then(
      () => true,
      () => false,
    )
  const stop = async (): Promise<void> => void (await Promise.all(servers.map((server) => server.stop())))
  const connected = async (): Promise<boolean> => {
    try {
      const found = (await ask(one.gui, 'system/connections')) as {
        connections: Record<string, { connected: boolean }>
      }
      const status = (await ask(two.gui, 'db/status?folder=bench')) as { state: string }
      return (found.connections[two.device]?.connected ?? false) && status.state === 'idle'
    } catch {
      return false
    }
  }
  try {
    // The second first: who dials in vain waits long before it dials again.
    for (const { home, gui } of [two, one]) {
      // One process each: another that guards it would be left behind.
      const env = { STNOUPGRADE: '1', STMONITORED: 'yes' }
      servers.push(startProgram('syncthing', ['serve', `--home=${home}`, '--no-browser', '--no-restart'], { env }))
      await until('Syncthing answers', () => answers(gui), { every: 50 })
    }
    await until('two Syncthings find each other', connected, { every: 50, milliseconds: 60_000 })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    from: one.folder,
    to: two.folder,
    rescan: async () => void (await ask(one.gui, 'db/scan?folder=bench', 'POST')),
    stop,
  }
}

interface Side {
  readonly folder: string
  readonly device: string
  readonly port: number
  readonly gui: number
}

function configOf(me: Side, other: Side): string {
  const device = (side: Side): string => `<device id="${side.device}" compression="metadata" introducer="false">
  <address>tcp://127.0.0.1:${side.port}</address><paused>false</paused><autoAcceptFolders>false</autoAcceptFolders></device>`
  return `<configuration version="36">
<folder id="bench" label="bench" path="${me.folder}" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true" fsWatcherDelayS="1">
  <device id="${me.device}"></device><device id="${other.device}"></device>
  <minDiskFree unit="%">0</minDiskFree>
</folder>
${device(me)}
${device(other)}
<gui enabled="true" tls="false"><address>127.0.0.1:${me.gui}</address><apikey>${KEY}</apikey></gui>
<options>
  <listenAddress>tcp://127.0.0.1:${me.port}</listenAddress>
  <globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
  <relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><urAccepted>-1</urAccepted>
  <autoUpgradeIntervalH>0</autoUpgradeIntervalH><crashReportingEnabled>false</crashReportingEnabled>
  <startBrowser>false</startBrowser><reconnectionIntervalS>1</reconnectionIntervalS>
</options>
</configuration>
`
}
