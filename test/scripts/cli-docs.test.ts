import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { CLI_DOCS, cliDocs } from '../../scripts/cli-docs.ts'

it("docs/cli.md is what the commands' help says now (npm run docs writes it)", async () => {
  expect(readFileSync(CLI_DOCS, 'utf8')).toBe(await cliDocs())
})
