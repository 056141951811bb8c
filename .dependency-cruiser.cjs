// The layer law of docs/architecture.md: a room may import only the rooms named for it.
const STORE_CONTRACT = '^src/store/contract/'
const rooms = {
  commands: [
    '^src/cli/',
    '^src/locations/',
    '^src/transfer/[^/]+\\.ts$',
    '^src/sync/agent\\.ts$',
    '^src/server/serve\\.ts$',
    '^src/access/',
    '^src/agent/[^/]+\\.ts$',
    '^src/agent/service/service\\.ts$',
    '^src/platform/',
    STORE_CONTRACT,
  ],
  cli: [STORE_CONTRACT, '^src/platform/'],
  locations: ['^src/store/', '^src/backends/', '^src/access/', '^src/platform/'],
  transfer: [STORE_CONTRACT, '^src/sync/core/', '^src/content/', '^src/platform/'],
  agent: ['^src/sync/agent\\.ts$', '^src/sync/control/', '^src/platform/', STORE_CONTRACT],
  sync: [STORE_CONTRACT, '^src/content/', '^src/platform/'],
  store: ['^src/content/', '^src/platform/'],
  backends: [
    '^src/store/objects/[^/]+\\.ts$',
    '^src/store/ports\\.ts$',
    '^src/store/mirror/foreign\\.ts$',
    STORE_CONTRACT,
    '^src/content/',
    '^src/platform/',
  ],
  server: [STORE_CONTRACT, '^src/protocol/', '^src/access/', '^src/platform/(ports|timer|system)\\.ts$'],
  start: ['^src/cli/main\\.ts$'],
  client: ['^src/locations/', '^src/transfer/', STORE_CONTRACT, '^src/platform/'],
  protocol: [],
  content: [],
  access: [STORE_CONTRACT],
  platform: [],
}
const layer = Object.entries(rooms).map(([room, allowed]) => ({
  name: `${room}-imports-only-its-neighbours`,
  severity: 'error',
  from: {
    path: `^src/${room}[/.]`,
    ...(room === 'store' ? { pathNot: '^src/store/http/' } : {}),
    ...(room === 'sync' ? { pathNot: '^src/sync/core/' } : {}),
    ...(room === 'cli' ? { pathNot: '^src/cli/(sync|transfer)/' } : {}),
  },
  to: {
    path: '^src/',
    pathNot: [...(room === 'backends' || room === 'commands' ? [] : [`^src/${room}/`]), ...allowed],
  },
}))
module.exports = {
  forbidden: [
    ...layer.filter((rule) => !rule.name.startsWith('backends-')),
    {
      name: 'backends-know-only-the-ports',
      severity: 'error',
      from: { path: '^src/backends/([^/]+)/' },
      to: { path: '^src/', pathNot: ['^src/backends/$1/', ...rooms.backends] },
    },
    {
      name: 'http-store-may-also-know-the-wire',
      severity: 'error',
      from: { path: '^src/store/http/' },
      to: { path: '^src/', pathNot: ['^src/store/', '^src/content/', '^src/platform/', '^src/protocol/'] },
    },
    {
      name: 'what-the-sync-commands-share',
      severity: 'error',
      from: { path: '^src/cli/sync/' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/cli/',
          '^src/locations/',
          '^src/agent/registry\\.ts$',
          '^src/sync/agent\\.ts$',
          '^src/platform/',
          STORE_CONTRACT,
        ],
      },
    },
    {
      name: 'what-the-copying-commands-share',
      severity: 'error',
      from: { path: '^src/cli/transfer/' },
      to: {
        path: '^src/',
        pathNot: ['^src/cli/', '^src/locations/', '^src/transfer/[^/]+\\.ts$', '^src/platform/', STORE_CONTRACT],
      },
    },
    {
      name: 'sync-core-is-pure',
      severity: 'error',
      from: { path: '^src/sync/core/' },
      to: { pathNot: '^src/sync/core/' },
    },
    {
      name: 'store-contract-stands-alone',
      severity: 'error',
      from: { path: STORE_CONTRACT },
      to: { path: '^src/', pathNot: [STORE_CONTRACT, '^src/content/'] },
    },
    {
      name: 'commands-touch-no-system',
      severity: 'error',
      from: { path: '^src/commands/' },
      to: { path: '^(node:)?(fs|fs/promises|http|https|net)$' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'nothing-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency-in-the-product',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
