import { build } from '../scripts/build.ts'

/** Tests of commands run the built program: builds it once before them. */
export default async function setup(): Promise<void> {
  try {
    await build({ keepStale: true })
  } catch (error) {
    if (process.env['CI'] !== undefined) throw error
    process.stderr.write(`\nTHE BUILD FAILED: tests of commands run an old program or none.\n${String(error)}\n\n`)
  }
}
