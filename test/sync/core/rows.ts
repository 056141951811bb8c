import type { Base, Content, Local, Reason, Remote, Row } from '../../../src/sync/core/types.ts'

/** Contents named by one letter; `x` after it: executable. */
function content(name: string): Content {
  const letter = name.charAt(0)
  return { kind: 'file', hash: hashOf(letter), size: 1, executable: name.endsWith('x') && name.length > 1 }
}

export function hashOf(bytes: string): string {
  return [...bytes]
    .map((c) => (c.codePointAt(0) ?? 0).toString(16).padStart(2, '0'))
    .join('')
    .padEnd(64, '0')
}

export const FOLDER: Content = {
  kind: 'folder',
  hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  size: 0,
  executable: false,
}

/** `A@3`: content A at version 3; `/@3`: a folder marker. */
function base(text: string): Base {
  const [name = '', version = ''] = text.split('@')
  return { ...(name === '/' ? FOLDER : content(name)), version: Number(version) }
}

/** As `base`; `†@4`: deleted at version 4. */
function remote(text: string): Remote {
  const [name, version = ''] = text.split('@')
  return name === '†' ? { kind: 'deleted', version: Number(version), entry: `entry${version}` } : base(text)
}

/** `A`, `Ax`, `/`, or `?busy` for what must not be judged. */
function local(text: string): Local {
  if (text.startsWith('?')) return { kind: 'unknown', reason: text.slice(1) as Reason }
  return text === '/' ? FOLDER : content(text)
}

const NONE = '-'

/** A row as a line of text: base, local, remote (`-`: nothing), then flags: `below`, `folder`, `old`, `unfit:REASON`. */
export function row(path: string, line: string): Row {
  const [b = NONE, l = NONE, r = NONE, ...flags] = line.trim().split(/\s+/)
  const reason = flags.find((flag) => flag.startsWith('unfit:'))
  return {
    path,
    base: b === NONE ? null : base(b),
    local: l === NONE ? null : local(l),
    remote: r === NONE ? null : remote(r),
    remoteBelow: flags.includes('below'),
    localFolder: flags.includes('folder'),
    localIsOldVersion: flags.includes('old'),
    unfit: reason === undefined ? null : (reason.slice('unfit:'.length) as Reason),
  }
}
