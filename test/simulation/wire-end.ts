import { Duplex } from 'node:stream'
import { systemError } from '../../src/platform/native.ts'
import { after } from '../../src/platform/timer.ts'
import type { Life } from './life.ts'

/** Takes what an end says; `gone`: nobody is there any more. */
export type Carrier = (piece: Buffer | 'end' | 'gone') => void

/** One end of a connection, as Node's HTTP uses a socket. With the death of whose it is, nothing reaches it any more, and it says nothing. */
export class End extends Duplex {
  connecting = true
  remoteAddress = '192.0.2.1'
  bytesWritten = 0
  onSaid: ((piece: Buffer) => void) | null = null
  onAnswer: (() => void) | null = null
  readonly #life: Life | null
  #carry: Carrier | null = null
  #waiting: (Buffer | 'end')[] = []
  #cancel: (() => void) | null = null
  #patience = 0
  #heard = 0

  constructor(life: Life | null, allowHalfOpen: boolean) {
    super({ allowHalfOpen })
    this.#life = life
  }

  /** From now on what it says goes this way. */
  join(carry: Carrier): void {
    this.#carry = carry
    for (const piece of this.#waiting) carry(piece)
    this.#waiting = []
    this.connecting = false
  }

  connected(): void {
    if (this.#isDead()) return
    this.emit('connect')
  }

  receive(piece: Buffer | null): void {
    if (this.#isDead() || this.destroyed) return
    this.#touch()
    this.onAnswer?.()
    this.onSaid = this.onAnswer = null
    // Nor may two pieces share theirs: each is its reader's own.
    this.push(piece && ownOf(piece))
  }

  cut(): void {
    if (this.#isDead()) return
    // A real reset does not come while a client hands its connection back, when nobody listens.
    this.once('error', () => undefined)
    this.destroy(systemError('ECONNRESET', 'read', ''))
  }

  setTimeout(milliseconds: number, act?: () => void): this {
    this.#patience = milliseconds
    if (act && milliseconds === 0) this.off('timeout', act)
    else if (act) this.once('timeout', act)
    this.#cancel?.()
    this.#cancel = null
    this.#touch()
    this.#wait()
    return this
  }

  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  override _read(): void {
    // What comes is pushed when it comes.
  }

  override _write(piece: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#isDead()) return
    this.#touch()
    this.bytesWritten += piece.length
    // Who wrote it may use its memory again.
    const own = ownOf(piece)
    this.onSaid?.(own)
    this.#say(own)
    done()
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#isDead()) this.#say('end')
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#cancel?.()
    this.#patience = 0
    if (!this.#isDead()) this.#carry?.('gone')
    done(error)
  }

  #isDead(): boolean {
    return this.#life !== null && !this.#life.alive()
  }

  #say(what: Buffer | 'end'): void {
    if (this.#carry === null) this.#waiting.push(what)
    else this.#carry(what)
  }

  #touch(): void {
    this.#heard = this.#life?.clock.elapsed() ?? 0
  }

  #wait(): void {
    if (this.#life === null || this.#patience === 0 || this.#cancel !== null || this.#isDead()) return
    const { clock } = this.#life
    // Whole milliseconds: a rest too small to add to the time would be waited for without end.
    this.#cancel = after(clock, Math.ceil(this.#heard + this.#patience - clock.elapsed()), () => {
      this.#cancel = null
      if (clock.elapsed() - this.#heard >= this.#patience) this.emit('timeout')
      else this.#wait()
    })
  }
}

function ownOf(piece: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(piece.length)
  own.set(piece)
  return own
}
