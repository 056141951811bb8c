/** An HTTP proxy, as a process of its own: prints its port, then a line for each request. Names that end with `.test` are this machine. */
import { createServer, request } from 'node:http'
import { connect } from 'node:net'

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const [secret = ''] = process.argv.slice(2)
const wanted = `Basic ${Buffer.from(secret).toString('base64')}`
const hostOf = (name: string): string => (name.endsWith('.test') ? '127.0.0.1' : name)

const server = createServer((incoming, answer) => {
  if (secret !== '' && incoming.headers['proxy-authorization'] !== wanted) {
    print('407')
    answer.writeHead(407, { 'proxy-authenticate': 'Basic' }).end('who are you?')
    return
  }
  const url = new URL(incoming.url ?? '')
  print(`${incoming.method} ${url.host}`)
  const { 'proxy-authorization': _secret, ...headers } = incoming.headers
  const outgoing = request(
    { host: hostOf(url.hostname), port: url.port, method: incoming.method, path: url.pathname + url.search, headers },
    (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(answer)
    },
  )
  outgoing.on('error', () => answer.writeHead(502).end())
  incoming.pipe(outgoing)
})
server.on('connect', (incoming, socket, head) => {
  const [host = '', port = ''] = (incoming.url ?? '').split(':')
  if (secret !== '' && incoming.headers['proxy-authorization'] !== wanted) {
    print('407')
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    return
  }
  print(`CONNECT ${host}:${port}`)
  const through = connect({ host: hostOf(host), port: Number(port) }, () => {
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    through.write(head)
    through.pipe(socket).pipe(through)
  })
  through.on('error', () => socket.destroy())
  socket.on('error', () => through.destroy())
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  print(`port ${typeof address === 'object' ? address?.port : ''}`)
})
