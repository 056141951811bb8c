import { sha256 } from './hash.ts'

/** A cut depends on this many bytes before it: older ones have left the 32-bit print. */
export const GEAR_WINDOW = 32

/** The running print of bytes, see docs/storage-format.md, "Chunking". */
export interface Gear {
  /** The print once one more byte was added. */
  add(print: number, byte: number): number
  /**
   * Passes over bytes from `at` on, at most to `end`, that all leave prints which share a bit with the mask; it may stop a few bytes
   * before the first that does not. Gives where it stopped; `print` then is that of the bytes before.
   */
  skip(print: number, bytes: Uint8Array, at: number, end: number, mask: number): number
  /** Of the last `skip`. */
  readonly print: number
}

/** Bytes that are looked at without a jump. */
const STEP = 8
/** Bytes that are given to the machine code at once: they stay in the processor's cache. */
const PIECE = 32 * 1024

/** Where things are in the memory of the machine code: 256 numbers, the print, and the bytes to look at. */
const TABLE = 0
const PRINT = 1024
const PIECE_AT = 1032

/** What is used of it here: Node's types do not name it. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => {
    readonly buffer: ArrayBuffer
  }
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> }
}

let gear: Gear | undefined

/** The one of this process: its code is made when the first large blob comes. */
export function openGear(): Gear {
  gear ??= makeGear()
  return gear
}

function makeGear(): Gear {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code()), { js: { memory } })
  const pass = exports['pass'] as (at: number, last: number, mask: number) => number
  const table = new Int32Array(memory.buffer, TABLE, 256)
  table.set(gearTable())
  const [print, piece] = [new Int32Array(memory.buffer, PRINT, 1), new Uint8Array(memory.buffer, PIECE_AT, PIECE)]
  return {
    add: (before, byte) => ((before << 1) + (table[byte] as number)) | 0,
    skip: (before, bytes, from, end, mask) => {
      print[0] = before
      let at = from
      while (at + STEP <= end) {
        const part = bytes.subarray(at, Math.min(end, at + PIECE))
        piece.set(part)
        const passed = pass(PIECE_AT, PIECE_AT + part.length - STEP, mask) - PIECE_AT
        at += passed
        if (passed + STEP <= part.length) break
      }
      return at
    },
    get print() {
      return print[0] as number
    },
  }
}

/** A random 32-bit number for each byte value: the first four bytes, big-endian, of SHA-256 of the text `blobs gear 1 <value>`. */
function gearTable(): readonly number[] {
  return Array.from({ length: 256 }, (_, value) =>
    Number.parseInt(sha256(Buffer.from(`blobs gear 1 ${value}`)).slice(0, 8), 16),
  )
}

/** Numbers and instructions of WebAssembly that are used here. */
const [I32, VOID, FUNCTION] = [0x7f, 0x40, 0x60]
const [BLOCK, LOOP, END, BR, BR_IF] = [0x02, 0x03, 0x0b, 0x0c, 0x0d]
const [ADD, AND, SHL, EQZ, GT_U] = [0x6a, 0x71, 0x74, 0x45, 0x4b]
const get = (local: number): number[] => [0x20, local]
const set = (local: number): number[] => [0x21, local]
const tee = (local: number): number[] => [0x22, local]
/** Less than 64. */
const constant = (value: number): number[] => [0x41, value]
const loadByte = (offset: number): number[] => [0x2d, 0, ...leb(offset)]
const load = (offset: number): number[] => [0x28, 2, ...leb(offset)]
const store = (offset: number): number[] => [0x36, 2, ...leb(offset)]

/**
 * JavaScript checks the bounds of each byte and of the table, which takes longer than the work itself. The module, as text:
 *
 *     (import "js" "memory" (memory 1))
 *     (func (export "pass") (param $at i32) (param $last i32) (param $mask i32) (result i32) (local $print i32) (local $p i32)
 *       (local.set $print (i32.load offset=PRINT (i32.const 0)))
 *       (block $stop (loop $on
 *         (br_if $stop (i32.gt_u (local.get $at) (local.get $last)))
 *         (local.set $p (local.get $print))
 *         ;; STEP times, with k from 0 on:
 *         (local.set $p (i32.add
 *           (i32.shl (local.get $p) (i32.const 1))
 *           (i32.load offset=TABLE (i32.shl (i32.load8_u offset=k (local.get $at)) (i32.const 2)))))
 *         (br_if $stop (i32.eqz (i32.and (local.get $p) (local.get $mask))))
 *         ;; and then
 *         (local.set $print (local.get $p))
 *         (local.set $at (i32.add (local.get $at) (i32.const STEP)))
 *         (br $on)))
 *       (i32.store offset=PRINT (i32.const 0) (local.get $print))
 *       (local.get $at))
 */
function code(): Uint8Array {
  const [at, last, mask, print, p] = [0, 1, 2, 3, 4]
  const look = (k: number): number[] =>
    [
      [...get(p), ...constant(1), SHL],
      [...get(at), ...loadByte(k), ...constant(2), SHL, ...load(TABLE), ADD],
      [...tee(p), ...get(mask), AND, EQZ, BR_IF, 1],
    ].flat()
  const body = [
    [1, 2, I32],
    [...constant(0), ...load(PRINT), ...set(print)],
    [BLOCK, VOID, LOOP, VOID],
    [...get(at), ...get(last), GT_U, BR_IF, 1],
    [...get(print), ...set(p)],
    ...Array.from({ length: STEP }, (_, k) => look(k)),
    [...get(p), ...set(print)],
    [...get(at), ...constant(STEP), ADD, ...set(at)],
    [BR, 0, END, END],
    [...constant(0), ...get(print), ...store(PRINT)],
    [...get(at), END],
  ].flat()
  return Uint8Array.from([
    ...Buffer.from('\0asm\x01\0\0\0', 'latin1'),
    ...section(1, [1, FUNCTION, 3, I32, I32, I32, 1, I32]),
    ...section(2, [1, ...text('js'), ...text('memory'), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text('pass'), 0, 0]),
    ...section(10, [1, ...leb(body.length), ...body]),
  ])
}

function section(id: number, content: readonly number[]): readonly number[] {
  return [id, ...leb(content.length), ...content]
}

function text(chars: string): readonly number[] {
  return [chars.length, ...Buffer.from(chars, 'latin1')]
}

/** As WebAssembly writes down lengths. */
function leb(value: number): readonly number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}
