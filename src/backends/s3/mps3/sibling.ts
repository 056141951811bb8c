const LONGEST = 255

/** Where the bytes go whose name another write took unseen: the same for everyone who finds out. `hash` is that of the bytes. */
export function siblingKey(key: string, time: number, hash: string): string {
  const slash = key.lastIndexOf('/') + 1
  const base = key.slice(slash)
  const dot = base.lastIndexOf('.')
  const [stem, extension] = dot > 0 ? [base.slice(0, dot), base.slice(dot)] : [base, '']
  const when = new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const rest = `.conflict-${when}-mps3-${hash.slice(0, 8)}${extension}`
  let short = stem
  while (Buffer.byteLength(short + rest) > LONGEST) short = [...short].slice(0, -1).join('')
  return key.slice(0, slash) + short + rest
}
