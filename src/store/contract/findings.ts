/** Something that a check of a place has found. */
export interface Finding {
  /** For scripts; what there is stands in docs/storage-format.md. */
  readonly code: FindingCode
  /** `damage`: something that was acknowledged is lost, altered or not to be found. `warning`: nothing is, but something should be done. */
  readonly severity: 'damage' | 'warning'
  /** What is wrong, with what. */
  readonly message: string
  /** What to do about it. */
  readonly remedy: string
  readonly bucket?: string
  readonly key?: string
  readonly version?: number
}
type FindingCode =
  | 'store'
  | 'format'
  | 'database'
  | 'row'
  | 'log'
  | 'entry'
  | 'content'
  | 'chunk'
  | 'index'
  | 'pack'
  | 'view'
  | 'permissions'
  | 'leftover'
  | 'aside'
  | 'space'

/** Who checks, as those see it who do it. */
export interface Inspection {
  report(finding: Finding): void
  /** Called with the number of bytes that were just read; resolves when more may be. Throws when the check is to end. */
  pace(bytes: number): Promise<void>
}
