import type { Frame } from './tree.ts'

const WIDTH = 1000
const LINE = 16
/** Narrower calls are left out, in pixels. */
const LEAST = 4
const COLOURS = { src: '#e8915b', node: '#7fa7d6', other: '#b9b27a' } as const

/** A flame graph, roots on top: the width of a call is its share of the time that something ran. */
export function flameOf(root: Frame): string {
  const boxes: string[] = []
  let depth = 0
  const draw = (frame: Frame, x: number, y: number): void => {
    const width = (frame.total / root.total) * WIDTH
    if (width < LEAST) return
    depth = Math.max(depth, y + 1)
    boxes.push(box(frame, x, y, width, (frame.total / root.total) * 100))
    let at = x
    for (const below of [...frame.calls.values()].toSorted((a, b) => b.total - a.total)) {
      draw(below, at, y + 1)
      at += (below.total / root.total) * WIDTH
    }
  }
  draw(root, 0, 0)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${depth * LINE}">
<style>text{font:10px system-ui,sans-serif;fill:#1b1f24}</style>
${boxes.join('\n')}
</svg>
`
}

function box({ name, source }: Frame, x: number, y: number, width: number, percent: number): string {
  const colour = source.startsWith('src') ? COLOURS.src : source === 'node' ? COLOURS.node : COLOURS.other
  const room = Math.floor((width - 4) / 5.5)
  const label =
    room < 3 ? '' : `<text x="${(x + 2).toFixed(0)}" y="${y * LINE + 11}">${escape(name.slice(0, room))}</text>`
  const title = `<title>${escape(`${name} ${source}`)} ${percent.toFixed(1)} %</title>`
  return `<g>${title}<rect x="${x.toFixed(1)}" y="${y * LINE}" width="${(width - 0.5).toFixed(1)}" height="${LINE - 1}" fill="${colour}"/>${label}</g>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
