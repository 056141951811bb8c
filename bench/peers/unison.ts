import { join } from 'node:path'
import { system } from '../programs.ts'

/** Without questions; its archives are in the place. */
export function unison(place: string, a: string, b: string): Promise<void> {
  return system('unison', ['-batch', '-auto', '-silent', '-ui', 'text', '-times', a, b], {
    env: { UNISON: join(place, 'unison'), HOME: place },
  })
}
