const DIGITS = 16

/** The name of a numbered object: names sort as their numbers do. */
export function nameOf(prefix: string, number: number): string {
  return prefix + String(number).padStart(DIGITS, '0')
}

export function numberOf(name: string): number {
  return Number(name.slice(-DIGITS))
}
