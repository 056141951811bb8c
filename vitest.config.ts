import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup.ts'],
    disableConsoleIntercept: true,
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real processes, disks and clocks: a second try on a busy machine, which the report shows as `(retry x1)`.
    retry: process.env['CI'] ? 1 : 0,
  },
})
