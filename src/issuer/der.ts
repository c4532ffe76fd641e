/**
 * A strict reader of DER (X.690 section 10) for what comes from outside: definite lengths in their shortest form, nothing
 * left over, no recursion. Each element keeps its own bytes, so that what is verified is what was sent.
 * @module
 */

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

export interface Element {
  readonly tag: number;
  /** What stands between the header and the next element. */
  readonly content: Buffer;
  /** With its header. */
  readonly whole: Buffer;
}

/** Reads one level; a level below is another reader. Throws `RangeError` for what isn't DER or isn't there. */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The tag of the next element; undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** @param tag what must come next; anything, where it is left out. */
  next(tag?: number): Element {
    const start = this.#at;
    const found = this.#byte();
    if (tag !== undefined && found !== tag)
      throw new RangeError(`tag ${found} where ${tag} belongs, at byte ${start}`);
    if ((found & 0x1f) === 0x1f) throw new RangeError(`a tag of several bytes, at byte ${start}`);
    const length = this.#length();
    const from = this.#at;
    if (length > this.#bytes.length - from) throw new RangeError(`cut off after byte ${this.#bytes.length}`);
    this.#at = from + length;
    return {
      tag: found,
      content: this.#bytes.subarray(from, this.#at),
      whole: this.#bytes.subarray(start, this.#at),
    };
  }

  /** A reader of what the next element holds. */
  enter(tag: number): DerReader {
    return new DerReader(this.next(tag).content);
  }

  /** An object identifier, as the hex of its octets. */
  oid(): string {
    return this.next(DER.oid).content.toString('hex');
  }

  /** A BIT STRING of whole octets. */
  bits(): Buffer {
    const { content } = this.next(DER.bitString);
    if (content[0] !== 0) throw new RangeError('a bit string that ends within an octet');
    return content.subarray(1);
  }

  /** An INTEGER of no sign in its shortest form; its octets without the leading zero. */
  unsigned(): Buffer {
    const { content } = this.next(DER.integer);
    const [first, second] = content;
    if (first === undefined || first >= 0x80) throw new RangeError('an integer that is empty or negative');
    if (first !== 0 || content.length === 1) return content;
    if (second !== undefined && second < 0x80) throw new RangeError('an integer with a zero too many');
    return content.subarray(1);
  }

  end(): void {
    if (!this.isAtEnd) throw new RangeError(`${this.#bytes.length - this.#at} bytes too many`);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new RangeError(`cut off after byte ${this.#bytes.length}`);
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const octets = first & 0x7f;
    if (octets === 0 || octets > 3) throw new RangeError('a length that is indefinite or too large');
    let length = 0;
    for (let i = 0; i < octets; i += 1) length = length * 256 + this.#byte();
    if (length < (octets === 1 ? 0x80 : 256 ** (octets - 1)))
      throw new RangeError('a length that is not in its shortest form');
    return length;
  }
}
