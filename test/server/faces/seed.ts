import { type Asked, ask, type Reply } from '../running.ts'

/** A request with JSON as the clients of the originals send it, also with GET. */
export function askJson(url: string, method: string, path: string, value: unknown, more: Asked = {}): Promise<Reply> {
  return ask(url, path, {
    method,
    ...more,
    body: JSON.stringify(value),
    headers: { 'content-type': 'application/json', ...more.headers },
  })
}
