import { readRegistry } from '../../agent/registry.ts'
import { directories } from '../../platform/directories.ts'
import { BlobsError } from '../../store/contract/errors.ts'

/** The folders of the background agent, absolute. Throws `InvalidRequest` when there are none. */
export function backgroundFolders(): readonly string[] {
  const { folders } = readRegistry(directories(process.env).state)
  if (folders.length > 0) return folders.map(({ folder }) => folder)
  throw new BlobsError('InvalidRequest', 'the background agent has no folders', {
    hint: 'name the folder that is meant: blobs pause FOLDER, blobs resume FOLDER',
  })
}
