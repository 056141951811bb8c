/** What a service manager is to run. */
export interface ServiceProgram {
  /** Absolute paths first; without a shell. */
  readonly command: readonly string[]
  /** What differs from what a session has anyway. */
  readonly environment: Readonly<Record<string, string>>
}

/** A systemd user unit. */
export function systemdUnit({ command, environment }: ServiceProgram): string {
  const [program = '', ...rest] = command
  const variables = Object.entries(environment).map(
    ([name, value]) => `Environment=${systemdWord(`${name}=${value}`)}\n`,
  )
  return `[Unit]
Description=blobs keeps folders and buckets the same
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${[systemdWord(program), ...rest.map(systemdArgument)].join(' ')}
${variables.join('')}Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 12
TimeoutStopSec=40
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`
}

// Specifiers (%), quotes and backslashes mean something everywhere in a unit; variables ($) in the arguments of a command, not in its name.
function systemdWord(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`
}

function systemdArgument(text: string): string {
  return systemdWord(text).replaceAll('$', '$$$$')
}

/** A launchd property list. */
export function launchdPlist(label: string, { command, environment }: ServiceProgram): string {
  const strings = command.map((word) => `    <string>${xml(word)}</string>`).join('\n')
  const variables = Object.entries(environment).map(
    ([name, value]) => `    <key>${xml(name)}</key>\n    <string>${xml(value)}</string>`,
  )
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${xml(label)}</string>
  <key>ProgramArguments</key>
  <array>
${strings}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables.join('\n')}
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ProcessType</key>
  <string>Background</string>
</dict>
</plist>
`
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** The command of a scheduled task of Windows. */
export function taskCommand({ command }: ServiceProgram): string {
  return command.map((word) => (/[\s"]/.test(word) ? `"${word}"` : word)).join(' ')
}
