const ASIDE = /^damaged-\d{8}T\d{6}Z(-\d+)?$/

/** Name of a folder in the store for what a repair at this time replaces: `damaged-20260728T140200Z`. */
export function asideName(time: number): string {
  return `damaged-${new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '')}`
}

export function isAside(name: string): boolean {
  return ASIDE.test(name)
}
