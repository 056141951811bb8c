import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { ROOT } from '../../scripts/harness.ts'

const DEPLOY = join(ROOT, 'deploy')
const directory = mkdtempSync(join(tmpdir(), 'blobs-deploy-files-'))

/** Debian has them; .ci/run installs them. */
function has(program: string): boolean {
  const there = spawnSync(program, ['--version']).error === undefined
  if (!there && process.env['CI'] !== undefined) throw new Error(`there is no ${program}`)
  return there
}

function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', ...options })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout + stderr
}

it.skipIf(!has('promtool'))(
  'Prometheus takes its configuration, and each alert fires when it should and not before',
  () => {
    const cwd = join(DEPLOY, 'prometheus')
    run('promtool', ['check', 'config', '--syntax-only', 'prometheus.yml'], { cwd })
    run('promtool', ['check', 'rules', 'alerts.yml'], { cwd })
    run('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd })
    const alerts = [...readFileSync(join(cwd, 'alerts.yml'), 'utf8').matchAll(/alert: (\w+)/g)].map(([, name]) => name)
    const tested = readFileSync(join(cwd, 'alerts.test.yml'), 'utf8')
    expect(alerts.filter((name) => !tested.includes(`alertname: ${name}\n        exp_alerts`))).toEqual([])
  },
)

it.skipIf(!has('systemd-analyze'))('systemd takes the unit of a server', () => {
  const unit = readFileSync(join(DEPLOY, 'systemd', 'blobs-serve@.service'), 'utf8')
  // The program need not be installed.
  writeFileSync(join(directory, 'blobs-serve@.service'), unit.replace('/usr/bin/blobs', '/bin/true'))
  expect(run('systemd-analyze', ['verify', join(directory, 'blobs-serve@7421.service')])).toBe('')
})

it.skipIf(!has('docker-compose'))(
  'the composition is one, with three nodes, three servers and what stands around them',
  () => {
    const env = { ...process.env, TOKEN_SECRET: 'a', NATS_PASSWORD: 'b', GRAFANA_PASSWORD: 'c' }
    const file = join(DEPLOY, 'compose', 'compose.yaml')
    const services = run('docker-compose', ['-f', file, 'config', '--services'], { env }).trim().split('\n').sort()
    const three = (name: string): string[] => [1, 2, 3].map((number) => `${name}-${number}`)
    expect(services).toEqual([...three('blobs'), 'grafana', ...three('nats'), 'nginx', 'prometheus'])
    const { TOKEN_SECRET: _, ...without } = env
    expect(() => run('docker-compose', ['-f', file, 'config'], { env: without })).toThrow('TOKEN_SECRET')
  },
)

it('no certificate is made over one that is there', () => {
  const script = join(DEPLOY, 'inner-certificate.sh')
  const tls = join(directory, 'tls')
  run(script, [tls])
  const before = readFileSync(join(tls, 'inner.crt'))
  expect(() => run(script, [tls])).toThrow('is there already')
  expect(readFileSync(join(tls, 'inner.crt')).equals(before)).toBe(true)
})

const KINDS: Readonly<Record<string, string>> = {
  ConfigMap: 'core/v1',
  Service: 'core/v1',
  StatefulSet: 'apps/v1',
  Deployment: 'apps/v1',
  PodDisruptionBudget: 'policy/v1',
}

/** What the compiler finds wrong when each document must have the type of its kind: names that there are not, and values of another type. */
function typeErrors(documents: readonly unknown[]): string {
  const home = mkdtempSync(join(ROOT, 'node_modules', '.blobs-manifest-'))
  try {
    const lines = documents.map((document, index) => {
      const { kind } = document as { readonly kind: string }
      return `import type { ${kind} as Kind${index} } from 'kubernetes-types/${KINDS[kind]}'\nexport const document${index}: Kind${index} = ${JSON.stringify(document)}`
    })
    const file = join(home, 'manifest.ts')
    writeFileSync(file, `${lines.join('\n')}\n`)
    const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
    const flags = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--types', '']
    return spawnSync(process.execPath, [compiler, ...flags, file], { encoding: 'utf8' }).stdout
  } finally {
    execFileSync('rm', ['-r', home])
  }
}
let documents: readonly unknown[] = []
beforeAll(() => {
  const text = readFileSync(join(DEPLOY, 'kubernetes', 'blobs.yaml'), 'utf8')
  documents = parseAllDocuments(text).map((document) => {
    expect(document.errors).toEqual([])
    return document.toJS() as unknown
  })
})

it('each document of the Kubernetes manifest has the type of its kind', () => {
  expect(typeErrors(documents)).toBe('')
  const wrong = structuredClone(documents) as { spec?: { replicas?: unknown; replica?: number } }[]
  for (const { spec } of wrong) if (spec?.replicas !== undefined) spec.replica = 3
  expect(typeErrors(wrong)).toMatch(/replica/)
})

it('Kubernetes selects what it starts, and every secret that it wants is told of', () => {
  const readme = readFileSync(join(DEPLOY, 'README.md'), 'utf8')
  const text = JSON.stringify(documents)
  const secrets = new Set(
    [...text.matchAll(/"(?:secretName|secretKeyRef":\{"name)":"([^"]+)"/g)].map(([, name]) => name),
  )
  expect([...secrets].sort()).toEqual(['blobs', 'inner'])
  for (const name of secrets) expect(readme).toMatch(new RegExp(`create secret (tls|generic) ${name} `))
  for (const document of documents as readonly {
    kind: string
    spec?: { selector?: { matchLabels?: object }; template?: { metadata: { labels: object } } }
  }[])
    if (document.spec?.template)
      expect(document.spec.selector?.matchLabels).toEqual(document.spec.template.metadata.labels)
})

it.skipIf(!has('nats-server'))('a node of NATS takes its configuration', () => {
  const tls = join(directory, 'tls')
  for (const name of ['nats.conf', 'tls.conf']) copyFileSync(join(DEPLOY, 'nats', name), join(directory, name))
  const edited = readFileSync(join(directory, 'tls.conf'), 'utf8').replaceAll('/etc/blobs/tls', tls)
  writeFileSync(join(directory, 'tls.conf'), edited)
  const env = { ...process.env, NATS_NAME: 'nats-1', NATS_PASSWORD: 'b', NATS_STORE: directory, NATS_ROUTES: '[]' }
  expect(run('nats-server', ['-c', join(directory, 'nats.conf'), '-t'], { env })).toContain('is valid')
})
