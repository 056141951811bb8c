/** What a shell runs to complete words of `blobs`; each asks `blobs complete`, which gives `VALUE<TAB>SUMMARY` lines, and `:files` for files. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

const BASH = `# bash completion of blobs: source <(blobs completion bash)
_blobs() {
  local cur=\${COMP_WORDS[COMP_CWORD]} line value files= before
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = :files ]; then files=1; continue; fi
    value=\${line%%$'\\t'*}
    COMPREPLY+=("$value")
  done < <(blobs complete --line -- "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  # bash takes a : for the beginning of a word.
  before=\${COMP_LINE:0:COMP_POINT}
  before=\${before##*[[:space:]]}
  if [[ $before == *:* && $COMP_WORDBREAKS == *:* ]]; then
    [ "$cur" = : ] || before=\${before%"$cur"}
  else
    before=
  fi
  local index
  for index in "\${!COMPREPLY[@]}"; do
    value=\${COMPREPLY[index]}
    [ -n "$before" ] && value=\${value#"$before"}
    case $value in */) compopt -o nospace 2>/dev/null ;; esac
    printf -v "COMPREPLY[index]" %q "$value"
  done
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
  fi
}
complete -F _blobs blobs
`

const ZSH = `#compdef blobs
# zsh completion of blobs: source <(blobs completion zsh)
_blobs() {
  local -a values shown folders
  local line value files=
  while IFS= read -r line; do
    if [[ $line == :files ]]; then files=1; continue; fi
    value=\${line%%$'\\t'*}
    if [[ $value == */ ]]; then
      folders+=("$value")
    else
      values+=("$value")
      if [[ $line == *$'\\t'* ]]; then shown+=("$value  -- \${line#*$'\\t'}"); else shown+=("$value"); fi
    fi
  done < <(blobs complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( \${#folders} )) && compadd -S '' -- "\${folders[@]}"
  (( \${#values} )) && compadd -l -d shown -- "\${values[@]}"
  [[ -n $files ]] && _files
  return 0
}
if [[ \${funcstack[1]-} == _blobs ]]; then _blobs "$@"; else compdef _blobs blobs; fi
`

const FISH = `# fish completion of blobs: blobs completion fish | source
function __blobs_complete
  set -l words (commandline -opc)
  set -l typed (commandline -ct | string unescape)
  for line in (blobs complete -- $words[2..-1] "$typed" 2>/dev/null)
    if test "$line" = :files
      __fish_complete_path "$typed"
    else
      echo $line
    end
  end
end
complete -c blobs -f -a '(__blobs_complete)'
`

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH }
