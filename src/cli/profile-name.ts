/** The profile that a command is about: `--profile`, else `BLOBS_PROFILE`, else the default one. */
export function profileName(flag: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  return flag ?? (env['BLOBS_PROFILE'] || 'default')
}
