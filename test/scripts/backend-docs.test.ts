import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { BACKEND_DOCS, backendDocs } from '../../scripts/backend-docs.ts'

it('docs/backends.md says of every place what its driver declares (npm run docs writes it)', async () => {
  expect(readFileSync(BACKEND_DOCS, 'utf8')).toBe(await backendDocs())
})
