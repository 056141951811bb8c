import { mkdirSync } from 'node:fs'
import { freePort } from '../../scripts/free-ports.ts'
import { startProgram, until } from '../programs.ts'

/** No configuration of whoever runs this. */
export const RCLONE_ENV = { RCLONE_CONFIG: '/dev/null' } as const

/** `rclone serve webdav` of a folder: flags that make it the remote `:webdav:`, and its address. */
export async function serveWebdav(
  folder: string,
): Promise<{ readonly url: string; readonly flags: readonly string[]; stop(): Promise<void> }> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = startProgram('rclone', ['serve', 'webdav', folder, '--addr', `127.0.0.1:${port}`], { env: RCLONE_ENV })
  await until('rclone serve webdav answers', () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  )
  return { url, flags: ['--webdav-url', url], stop: () => server.stop() }
}
