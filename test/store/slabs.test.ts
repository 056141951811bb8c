import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { free, openShelf, openSlabs, SLAB_BYTES } from '../../src/store/contract/slabs.ts'

describe('slabs', () => {
  it('are lent again when nobody looks at them any more, and only then', () => {
    const slabs = openSlabs({ kept: 2 })
    const [one, two] = [slabs.take(), slabs.take()]
    if (!one || !two) throw new Error('no slab')
    slabs.giveBack([one], true)
    expect(slabs.take()).toBe(one)
    slabs.giveBack([two], false)
    expect(slabs.take()).not.toBe(two)
  })

  it('are kept for the next loan up to a number', () => {
    const slabs = openSlabs({ kept: 1 })
    const lent = [slabs.take(), slabs.take()].filter((slab) => slab !== null)
    slabs.giveBack(lent, true)
    const again = [slabs.take(), slabs.take()]
    expect(again.filter((slab) => slab !== null && lent.includes(slab))).toHaveLength(1)
  })

  it('are lent up to a number, then in the order of asking; who only takes does not push in', async () => {
    const slabs = openSlabs({ most: 1, kept: 1 })
    const first = await slabs.borrow()
    expect(slabs.take()).toBeNull()
    const order: string[] = []
    const second = slabs.borrow().then((slab) => (order.push('second'), slab))
    const third = slabs.borrow().then((slab) => (order.push('third'), slab))
    slabs.giveBack([first], true)
    expect(slabs.take()).toBeNull()
    slabs.giveBack([await second], false)
    slabs.giveBack([await third], true)
    expect(order).toEqual(['second', 'third'])
    expect(slabs.take()).not.toBeNull()
  })

  it('are not lent to who left the line', async () => {
    const slabs = openSlabs({ most: 1, kept: 1 })
    const first = await slabs.borrow()
    const leaving = new AbortController()
    const left = slabs.borrow(leaving.signal)
    const next = slabs.borrow()
    leaving.abort(new Error('enough'))
    await expect(left).rejects.toThrow('enough')
    await expect(slabs.borrow(leaving.signal)).rejects.toThrow('enough')
    slabs.giveBack([first], true)
    expect(await next).toBe(first)
  })
})

describe('rooms of a shelf', () => {
  it('are as long as asked and never overlap', () => {
    const lengths = fc.array(fc.oneof(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: SLAB_BYTES })), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(lengths, (lengths) => {
        const shelf = openShelf(openSlabs({ kept: 0 }))
        const rooms = lengths.map((length) => shelf.room(length) ?? new Uint8Array(1))
        for (const [index, room] of rooms.entries()) room.fill(index + 1)
        expect(rooms.map((room) => room.length)).toEqual(lengths)
        expect(rooms.every((room, index) => room.every((byte) => byte === index + 1))).toBe(true)
      }),
      { numRuns: 20, examples: [[[0]], [[0, SLAB_BYTES, 0]]] },
    )
  })

  it('come from a borrowed slab where none is to be had', async () => {
    const slabs = openSlabs({ most: 1, kept: 1 })
    const [shelf, other] = [openShelf(slabs), openShelf(slabs)]
    expect(other.room(10)).toHaveLength(10)
    expect(shelf.room(10)).toBeNull()
    const borrowed = slabs.borrow()
    other.clear(true)
    shelf.add(await borrowed)
    expect(shelf.room(SLAB_BYTES)).toHaveLength(SLAB_BYTES)
    expect(shelf.room(1)).toBeNull()
    shelf.clear(true)
    expect(slabs.take()).not.toBeNull()
  })
})

describe('memory that is given back at once', () => {
  it('is gone for whoever still looks; a part of other memory is left alone', () => {
    const own = new Uint8Array(1000)
    free(own)
    expect(own).toHaveLength(0)
    const all = new Uint8Array(1000).fill(7)
    free(all.subarray(0, 500))
    expect(all.every((byte) => byte === 7)).toBe(true)
    const pooled = Buffer.from('in the pool of all small buffers')
    free(pooled)
    expect(pooled.toString()).toBe('in the pool of all small buffers')
  })
})
