/** What a backend tells; paths are absolute, as the disk spells them. */
export interface WatchListener {
  /** Folders that are not to be watched, nor what is below them. */
  ignored(folder: string): boolean
  /** Something happened to a name directly in a folder; null: nobody knows which. Events may be missing, doubled or late. */
  onEvent(folder: string, name: string | null): void
  /** A folder has come, with whatever is in it by now, and is watched. */
  onFolder(folder: string): void
  onError(error: unknown): void
}

/** Resolves when all folders below the root are watched, as far as that is possible. */
export type WatchBackend = (root: string, listener: WatchListener) => Promise<{ close(): Promise<void> }>
