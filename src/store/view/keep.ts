import { sqliteProblem, type SqliteProblem } from '../../platform/sqlite.ts'
import { BlobsError } from '../contract/errors.ts'
import { openView, removeView, type View, type ViewOptions } from './view.ts'

/** A view that is replaced when its file fails: nothing in it is lost, it comes from the log. */
export interface KeptView {
  view(): View
  /** A new view, empty or read from a good file; what failed is closed. */
  replace(failure: unknown): Promise<void>
  close(): void
}

const FILE_FAILURES = new Set<SqliteProblem | null>(['corrupt', 'full', 'io', 'readonly', 'cannot-open'])

/** Opens the view; where its folder cannot be written or the disk is full, in memory instead. */
export async function keepView(options: ViewOptions): Promise<KeptView> {
  const { path, disk } = options
  const inMemory = (): Promise<View> => openView({ ...options, path: null })
  const open = (): Promise<View> =>
    openView(options).catch((error: unknown) => {
      // SQLite's, or Node's for the folder.
      if (isFileFailure(error) || (error instanceof Error && 'syscall' in error)) return inMemory()
      throw explainBusy(error)
    })
  let view = await open()
  return {
    view: () => view,
    replace: async (failure) => {
      view.close()
      if (sqliteProblem(failure) === 'corrupt' && path !== null) {
        removeView(path, disk)
        view = await open()
      } else view = await inMemory()
    },
    close: () => view.close(),
  }
}

/** True if the view's file is damaged, or cannot be written: `replace` helps. */
export function isFileFailure(error: unknown): boolean {
  return FILE_FAILURES.has(sqliteProblem(error))
}

/** What a caller may be told of a failure of the view. */
export function explainBusy(error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY')) return error
  return new BlobsError('Unavailable', 'the view of the bucket is locked by another process', {
    cause: error,
    hint: 'try again when the other blobs process is done or has been stopped',
  })
}
