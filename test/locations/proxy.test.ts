import { expect, test } from 'vitest'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { proxyFor } from '../../src/locations/proxy.ts'

const P = 'http://proxy:3128'

test.each([
  ['http://host', { HTTP_PROXY: P }, P],
  ['https://host', { HTTP_PROXY: P }, null],
  ['https://host', { HTTPS_PROXY: P }, P],
  ['https://host', { https_proxy: P, HTTPS_PROXY: 'http://other' }, P],
  ['http://host', { HTTP_PROXY: 'proxy:3128' }, P],
  ['http://host', { HTTP_PROXY: '' }, null],
  ['http://localhost:7420', { HTTP_PROXY: P }, null],
  ['http://127.0.0.1:7420', { HTTP_PROXY: P }, null],
  ['http://[::1]:7420', { HTTP_PROXY: P }, null],
  ['http://127.example.com', { HTTP_PROXY: P }, P],
  ['http://host', { HTTP_PROXY: P, NO_PROXY: '*' }, null],
  ['http://host', { HTTP_PROXY: P, NO_PROXY: 'other, host' }, null],
  ['http://HOST', { HTTP_PROXY: P, no_proxy: 'host' }, null],
  ['http://a.host', { HTTP_PROXY: P, NO_PROXY: 'host' }, null],
  ['http://a.host', { HTTP_PROXY: P, NO_PROXY: '.host' }, null],
  ['http://a.host', { HTTP_PROXY: P, NO_PROXY: '*.host' }, null],
  ['http://ahost', { HTTP_PROXY: P, NO_PROXY: 'host' }, P],
  ['http://host:7420', { HTTP_PROXY: P, NO_PROXY: 'host:7420' }, null],
  ['http://host:7421', { HTTP_PROXY: P, NO_PROXY: 'host:7420' }, P],
  ['http://10.1.2.3', { HTTP_PROXY: P, NO_PROXY: '10.0.0.0/8' }, null],
  ['http://11.1.2.3', { HTTP_PROXY: P, NO_PROXY: '10.0.0.0/8' }, P],
  ['http://1.10.0.1', { HTTP_PROXY: P, NO_PROXY: '10.0.0.1' }, P],
  ['http://[fd00::1]', { HTTP_PROXY: P, NO_PROXY: 'fd00::/8' }, null],
])('%s with %j goes by %s', (location, env, proxy) => {
  expect(proxyFor(location, env)).toBe(proxy)
})

test.each(['socks5://proxy:1080', 'http://', 'nonsense value'])('%s is no proxy', (text) => {
  try {
    proxyFor('http://host', { HTTP_PROXY: text })
    expect.unreachable()
  } catch (error) {
    expect(isBlobsError(error, 'InvalidRequest')).toBe(true)
  }
})
