/**
 * The nonces of the last minutes, in memory: exact answers in well under a microsecond, 20 bytes a slot.
 *
 * Keys are hashed, never kept as strings: a key sliced out of a header keeps the whole header alive (measured:
 * 273 bytes a nonce against 28 to 89). They lie in generations by their expiry, so that forgetting is dropping one.
 * @module
 */
import { hash, randomInt } from 'node:crypto';
import type { Nonce } from './nonces.ts';

/** Bytes of one nonce as stored: 16 of its digest, 4 of its expiry. */
export const ENTRY_BYTES = 20;
const WORDS = ENTRY_BYTES / 4;
/** Seconds of expiry that share a generation. */
const SPAN = 64;

/** Writes the stored form of a nonce: SHA-256 of key and nonce, cut to 128 bits, and the expiry in seconds. */
export function encodeNonce(nonce: Nonce, into: Buffer, offset: number): void {
  // A keyid is printable ASCII, so the line break can't be part of it.
  hash('sha256', `${nonce.keyid}\n${nonce.value}`, 'buffer').copy(into, offset, 0, 16);
  into.writeUInt32LE(nonce.expires, offset + 16);
}

export class NonceWindow {
  private readonly generations = new Map<number, Generation>();

  get size(): number {
    let size = 0;
    for (const generation of this.generations.values()) size += generation.size;
    return size;
  }

  /** @returns false where the nonce is there already, under whatever expiry. */
  add(entry: Buffer, offset = 0): boolean {
    const key = readKey(entry, offset);
    for (const generation of this.generations.values()) {
      if (generation.has(key)) return false;
    }
    const span = Math.floor(key.expires / SPAN);
    let generation = this.generations.get(span);
    if (!generation) {
      generation = new Generation();
      this.generations.set(span, generation);
    }
    generation.insert(key);
    return true;
  }

  /** Takes back what a failed commit had added. */
  delete(entry: Buffer, offset = 0): void {
    const key = readKey(entry, offset);
    this.generations.get(Math.floor(key.expires / SPAN))?.delete(key);
  }

  /** Drops generations that expired wholly at or before this second. */
  forget(horizon: number): void {
    for (const span of this.generations.keys()) {
      if ((span + 1) * SPAN - 1 <= horizon) this.generations.delete(span);
    }
  }
}

interface Key {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly expires: number;
}

function readKey(entry: Buffer, offset: number): Key {
  return {
    a: entry.readUInt32LE(offset),
    b: entry.readUInt32LE(offset + 4),
    c: entry.readUInt32LE(offset + 8),
    d: entry.readUInt32LE(offset + 12),
    expires: entry.readUInt32LE(offset + 16),
  };
}

// Slots are chosen by a multiplication that nobody outside knows, so that no caller can pick nonces that collide.
const FACTOR_A = randomInt(2 ** 31) * 2 + 1;
const FACTOR_B = randomInt(2 ** 31) * 2 + 1;

/** Open addressing with linear probing; a slot is free where its expiry is 0. */
class Generation {
  size = 0;
  private bits = 6;
  private slots = new Uint32Array((1 << this.bits) * WORDS);

  has(key: Key): boolean {
    return this.slots[this.find(key) + 4] !== 0;
  }

  insert(key: Key): void {
    if ((this.size + 1) * 4 > (1 << this.bits) * 3) this.grow();
    this.write(this.find(key), key);
    this.size++;
  }

  delete(key: Key): void {
    let hole = this.find(key);
    if (this.slots[hole + 4] === 0) return;
    this.size--;
    // Close the gap: whatever probed past the hole moves into it, or a later search would stop there.
    for (let at = this.next(hole); this.slots[at + 4] !== 0; at = this.next(at)) {
      const held = this.read(at);
      const home = this.home(held);
      const between = hole <= at ? home > hole && home <= at : home > hole || home <= at;
      if (between) continue;
      this.write(hole, held);
      hole = at;
    }
    this.slots[hole + 4] = 0;
  }

  /** The slot that holds the key, or the free one where it belongs. */
  private find(key: Key): number {
    const { slots } = this;
    let at = this.home(key);
    while (slots[at + 4] !== 0) {
      if (
        slots[at] === key.a &&
        slots[at + 1] === key.b &&
        slots[at + 2] === key.c &&
        slots[at + 3] === key.d
      )
        break;
      at = this.next(at);
    }
    return at;
  }

  private home({ a, b }: Key): number {
    return ((Math.imul(a, FACTOR_A) + Math.imul(b, FACTOR_B)) >>> (32 - this.bits)) * WORDS;
  }

  private next(at: number): number {
    return at + WORDS === this.slots.length ? 0 : at + WORDS;
  }

  private read(at: number): Key {
    const [a, b, c, d, expires] = this.slots.subarray(at, at + WORDS) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    return { a, b, c, d, expires };
  }

  private write(at: number, key: Key): void {
    const { slots } = this;
    slots[at] = key.a;
    slots[at + 1] = key.b;
    slots[at + 2] = key.c;
    slots[at + 3] = key.d;
    slots[at + 4] = key.expires;
  }

  private grow(): void {
    const old = this.slots;
    this.bits++;
    this.slots = new Uint32Array((1 << this.bits) * WORDS);
    for (let at = 0; at < old.length; at += WORDS) {
      if (old[at + 4] === 0) continue;
      const [a, b, c, d, expires] = old.subarray(at, at + WORDS) as unknown as [
        number,
        number,
        number,
        number,
        number,
      ];
      const key = { a, b, c, d, expires };
      this.write(this.find(key), key);
    }
  }
}
