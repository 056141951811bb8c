import type { Access } from '../access.ts'
import type { Context } from '../call.ts'
import type { Face, FaceOptions } from './face.ts'

/** What faces are made with. */
export type FaceContext = Pick<Access, 'own'> & { readonly context: Context }

/** Opens faces; what one is made of is loaded when somebody wants it. */
export function openFaces(wanted: readonly FaceOptions[], made: FaceContext): Promise<readonly Face[]> {
  return Promise.all(wanted.map((options) => openFace(options, made)))
}

async function openFace(options: FaceOptions, made: FaceContext): Promise<Face> {
  switch (options.name) {
    case 'changelog':
      return (await import('./changelog.ts')).openChangelog(options)
    case 'addresses':
      return (await import('./addresses.ts')).openAddresses(options)
    case 'containers':
      return (await import('./containers.ts')).openContainersFace(options, made)
  }
}
