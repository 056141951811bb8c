type Environment = Readonly<Record<string, string | undefined>>

/** The environment without what a shell says of one server: it is not for the folders of all servers. */
export function withoutAccess(env: Environment): Environment {
  const {
    BLOBS_TOKEN: _token,
    BLOBS_TOKEN_FILE: _file,
    BLOBS_SERVER: _server,
    BLOBS_PROFILE: _profile,
    BLOBS_SINGLE_WRITER: _alone,
    ...rest
  } = env
  return rest
}
