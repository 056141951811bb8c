import { array, assert, float, nat, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { atLeast, atMost, judge, median, merge, percentile, type Row } from '../../bench/figures.ts'
import { flameOf } from '../../bench/profile/flame.ts'
import { addProfile, newTree, roomOf, topOf, type CpuProfile } from '../../bench/profile/tree.ts'
import { chartOf } from '../../bench/report/chart.ts'
import { withParts } from '../../bench/report/document.ts'
import { markdownOf, tableOf } from '../../bench/report/table.ts'

function rowOf(id: string, figures: Readonly<Record<string, readonly number[]>>, more: Partial<Row> = {}): Row {
  const list = Object.entries(figures).map(([name, values]) => ({ name, values }))
  return { id, what: `work of ${id}`, unit: 'ms', figures: list, targets: [], notes: [], ...more }
}

describe('figures of the benchmark', () => {
  it('a percentile is a value that was measured, between the least and the most, and grows with the percent', () => {
    assert(
      property(array(float({ noNaN: true }), { minLength: 1 }), nat(100), nat(100), (values, p, q) => {
        const [low, high] = [Math.min(p, q), Math.max(p, q)]
        expect(values).toContain(percentile(values, p))
        expect(percentile(values, low)).toBeLessThanOrEqual(percentile(values, high))
      }),
    )
    expect(median([5, 1, 3])).toBe(3)
    expect(median([5, 1])).toBe(3)
    expect(percentile([...Array(200).keys()], 99)).toBe(198)
    expect(median([])).toBeNaN()
  })

  it.each([
    ['a ratio below its limit is met', atMost(1.3, 'rsync'), 1.25, true],
    ['a ratio above its limit is not', atMost(1.2, 'rsync'), 1.25, false],
    ['a limit of the figure itself, too', atMost(250, null), 250, true],
    ['a rate must reach its limit', atLeast(300, null), 250, false],
  ])('%s', (_, target, reached, met) => {
    expect(judge(rowOf('tree.up', { blobs: [240, 250, 900], rsync: [200] }), target)).toMatchObject({ reached, met })
  })

  it('what was not measured is neither met nor missed', () => {
    expect(judge(rowOf('tree.up', { blobs: [1] }), atMost(1, 'rsync')).met).toBe(null)
  })

  it('a row measured again takes the place of the old one, others stay, in the order of the measures', () => {
    const old = [rowOf('large.put', { blobs: [1] }), rowOf('tree.up', { blobs: [2] }), rowOf('gone.row', {})]
    const merged = merge(old, [rowOf('tree.up', { blobs: [3] }), rowOf('startup.ls', {})], ['startup', 'tree', 'large'])
    expect(merged.map(({ id }) => id)).toEqual(['startup.ls', 'tree.up', 'large.put'])
    expect(merged[1]?.figures[0]?.values).toEqual([3])
  })
})

const ROW = rowOf(
  'tree.up',
  { blobs: [2600, 2500, 2700], 'rsync | a & <b>': [2000] },
  { targets: [atMost(1.2, 'rsync | a & <b>')], notes: ['Unison is not installed'] },
)

describe('reports of the benchmark', () => {
  it('say the medians, the ratio, what was aimed at, and whether it is met', () => {
    expect(tableOf([ROW])).toContain('1.30 × rsync | a & <b>, aimed at ≤ 1.2 × rsync | a & <b>: NOT MET')
    expect(tableOf([ROW])).toContain('note: Unison is not installed')
    const [, , line = ''] = markdownOf([ROW]).split('\n')
    expect(line).toContain('blobs 2.60 s<br>rsync \\| a & <b> 2.00 s')
    expect(line).toContain('**not met**')
    expect(line.replaceAll('\\|', '').split('|')).toHaveLength(7)
  })

  it('draw a bar for each target, escaped, and short where it is off the scale', () => {
    const far = rowOf('idle.10k', { blobs: [1e6] }, { what: '<&>', targets: [atMost(1, null), atMost(1, 'nobody')] })
    const chart = chartOf([ROW, far])
    expect(chart.match(/<rect class="not"/g)).toHaveLength(2)
    expect(chart).toContain('&lt;&amp;&gt;')
    expect(chart).not.toMatch(/NaN|Infinity/)
    const widths = [...chart.matchAll(/<rect class="not" x="([\d.]+)" y="\d+" width="([\d.]+)"/g)]
    for (const [, x, width] of widths) expect(Number(x) + Number(width)).toBeLessThan(860)
  })

  it('keep what is written by hand, before and after, when they are made again', () => {
    const first = withParts(null, [
      ['figures', 'one'],
      ['notes', 'two'],
    ])
    const edited = `${first.replace('# Performance', '# Performance\n\nMine.')}\n## Findings\n\nKept.\n`
    const again = withParts(edited, [
      ['figures', 'ONE $& more'],
      ['notes', 'TWO'],
    ])
    expect(again).toBe(edited.replace('\none\n', () => '\nONE $& more\n').replace('\ntwo\n', '\nTWO\n'))
    expect(withParts(again, [['figures', 'ONE $& more']])).toBe(again)
    const more = withParts(again, [['profile', 'three']])
    expect(more.indexOf('three')).toBeGreaterThan(more.indexOf('TWO'))
    expect(more.indexOf('three')).toBeLessThan(more.indexOf('## Findings'))
  })

  it('come before findings that were there first', () => {
    const document = withParts('# Performance\n\nIntroduction.\n\n## Findings\n\nKept.\n', [['figures', 'one']])
    expect(document).toMatch(
      /^# Performance\n\nIntroduction\.\n\n<!-- generated: figures -->[^]*## Findings\n\nKept\.\n$/,
    )
  })
})

describe('profiles of the benchmark', () => {
  const frame = (id: number, functionName: string, children: readonly number[], url = '') => ({
    id,
    callFrame: { functionName, url, lineNumber: id },
    children,
  })
  const profile: CpuProfile = {
    nodes: [
      frame(1, '(root)', [2, 3, 5]),
      frame(2, '(idle)', []),
      frame(3, 'main', [4], 'a'),
      frame(4, '', [], 'b'),
      frame(5, '(garbage collector)', []),
    ],
    samples: [2, 3, 4, 4, 5],
    timeDeltas: [1000, 10, 20, 50, 20],
  }

  it('share the time that something ran among functions and rooms, and leave out what was idle', () => {
    const tree = newTree()
    addProfile(tree, profile, (url, line) => `src/${url}/${line}.ts`)
    addProfile(tree, profile, (url, line) => `src/${url}/${line}.ts`)
    expect(tree.total).toBe(200)
    expect(topOf(tree, roomOf, 2)).toEqual([
      { name: 'src/b', share: 0.7 },
      { name: 'garbage collector', share: 0.2 },
    ])
    expect(topOf(tree, ({ name }) => name, 9).map(({ name }) => name)).toEqual([
      '(anonymous)',
      '(garbage collector)',
      'main',
    ])
    expect(flameOf(tree).match(/<rect/g)).toHaveLength(4)
  })
})
