interface Wanted {
  readonly server: string
  readonly bucket: string
  readonly token: string
  readonly count: number
}

/** One for each connection where the token may make them, because a server bounds the requests of one token; else the token itself for all. */
export async function tokensFor({ server, bucket, token, count }: Wanted): Promise<readonly string[]> {
  const request = {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ bucket, name: 'load', can: ['read', 'write'] }),
  }
  const tokens: string[] = []
  while (tokens.length < count) {
    const answer = await fetch(new URL('/v1/tokens', server), request)
    if (answer.status === 403) return Array.from({ length: count }, () => token)
    const made = (await answer.json()) as { readonly token?: string; readonly detail?: string }
    if (made.token === undefined) throw new Error(`no token from ${server}: ${made.detail ?? answer.status}`)
    tokens.push(made.token)
  }
  return tokens
}
