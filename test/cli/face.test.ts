import { describe, expect, it } from 'vitest'
import { checkFaces, parseFace } from '../../src/cli/face.ts'

describe('--face', () => {
  it.each([
    ['containers', { name: 'containers', signUp: 'this machine' }],
    ['containers=open', { name: 'containers', signUp: 'anybody' }],
    ['changelog=log', { name: 'changelog', bucket: 'log', store: 'MyStore' }],
    ['changelog=log/Other/Store', { name: 'changelog', bucket: 'log', store: 'Other/Store' }],
    ['addresses=media', { name: 'addresses', bucket: 'media' }],
  ])('%s is understood', (text, face) => {
    expect(parseFace(text)).toEqual(face)
  })

  it.each([
    '',
    'x',
    'containers=',
    'containers=closed',
    'changelog',
    'changelog=',
    'changelog=log/',
    'addresses=Media',
    'addresses=a/b',
    'addresses=media=x',
  ])('%j is refused', (text) => {
    expect(() => parseFace(text)).toThrow(expect.objectContaining({ code: 'InvalidRequest' }))
  })

  it('is given once for each', () => {
    expect(() => checkFaces([parseFace('addresses=one'), parseFace('addresses=two')])).toThrow(/twice/)
  })
})
