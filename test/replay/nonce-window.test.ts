/** The window against a plain map, with keys that collide on purpose. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENTRY_BYTES, encodeNonce, NonceWindow } from '../../src/replay/nonce-window.ts';

/** An entry as its five words: those of one `a` and `b` are hashed to one slot, whatever the rest. */
interface Words {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly expires: number;
}

function entry({ a, b, c, d, expires }: Words): Buffer {
  const bytes = Buffer.alloc(ENTRY_BYTES);
  [a, b, c, d, expires].forEach((word, i) => {
    bytes.writeUInt32LE(word, i * 4);
  });
  return bytes;
}

type Step =
  | { readonly kind: 'add'; readonly words: Words }
  | { readonly kind: 'delete'; readonly pick: number }
  | { readonly kind: 'forget'; readonly horizon: number };

/** Few homes and few names, so that adding meets the same nonce, the same slot and the same generation often. */
const expiry = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constantFrom(63, 64, 127, 128, 2 ** 32 - 1));
const plan = fc
  .array(fc.record({ a: fc.nat({ max: 2 ** 32 - 1 }), b: fc.nat({ max: 2 ** 32 - 1 }) }), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((homes) =>
    fc.array(
      fc.oneof(
        {
          weight: 12,
          arbitrary: fc
            .record({ home: fc.constantFrom(...homes), c: fc.nat(60), d: fc.nat(1), expires: expiry })
            .map(({ home, c, d, expires }): Step => ({ kind: 'add', words: { ...home, c, d, expires } })),
        },
        { weight: 6, arbitrary: fc.nat().map((pick): Step => ({ kind: 'delete', pick })) },
        { weight: 1, arbitrary: expiry.map((horizon): Step => ({ kind: 'forget', horizon })) },
      ),
      { maxLength: 400 },
    ),
  );

/** Whether an entry may be gone: what the window owes nothing for any more. */
interface Held {
  readonly words: Words;
  forgettable: boolean;
}

function nameOf({ a, b, c, d }: Words): string {
  return [a, b, c, d].join(' ');
}

/** Runs a plan on both, and compares every answer. */
function runPlan(steps: readonly Step[]): void {
  const window = new NonceWindow();
  const model = new Map<string, Held>();
  for (const step of steps) {
    if (step.kind === 'add') {
      const held = model.get(nameOf(step.words));
      const fresh = window.add(entry(step.words));
      if (!held?.forgettable) expect(fresh).toBe(held === undefined);
      if (fresh) model.set(nameOf(step.words), { words: step.words, forgettable: false });
    } else if (step.kind === 'delete') {
      const names = [...model.keys()];
      const name = names[step.pick % (names.length || 1)];
      if (name === undefined) continue;
      window.delete(entry((model.get(name) as Held).words));
      model.delete(name);
    } else {
      window.forget(step.horizon);
      for (const held of model.values()) held.forgettable ||= held.words.expires <= step.horizon;
    }
    const owed = [...model.values()].filter(({ forgettable }) => !forgettable).length;
    expect(window.size).toBeGreaterThanOrEqual(owed);
    expect(window.size).toBeLessThanOrEqual(model.size);
  }
  for (const { words, forgettable } of model.values()) {
    if (!forgettable) expect(window.add(entry(words))).toBe(false);
  }
}

describe('the nonce window', () => {
  it('answers like a plain map, whatever is added, taken back and forgotten', () => {
    fc.assert(fc.property(plan, runPlan), { numRuns: 300 });
  });

  it('keeps every neighbour of one that is taken back, wherever in a chain of collisions it stood', () => {
    for (let gone = 0; gone < 40; gone++) {
      const window = new NonceWindow();
      const chain = Array.from({ length: 40 }, (_, c) => entry({ a: 7, b: gone, c, d: 0, expires: 1000 }));
      for (const each of chain) expect(window.add(each)).toBe(true);
      window.delete(chain[gone] as Buffer);
      expect(window.size).toBe(39);
      expect(chain.map((each) => window.add(each))).toEqual(chain.map((_, c) => c === gone));
    }
  });

  it('keeps the others of a crowded table, whose chains cross each other and its end', () => {
    const word = fc.nat({ max: 2 ** 32 - 1 });
    // As many as a table of 64 slots takes before it grows.
    const crowd = fc.uniqueArray(fc.record({ a: word, b: word }), {
      minLength: 48,
      maxLength: 48,
      selector: ({ a, b }) => `${a} ${b}`,
    });
    fc.assert(
      fc.property(crowd, (homes) => {
        const window = new NonceWindow();
        const entries = homes.map((home) => entry({ ...home, c: 0, d: 0, expires: 1000 }));
        for (const each of entries) window.add(each);
        entries.forEach((gone, i) => {
          window.delete(gone);
          for (const each of entries.slice(i + 1)) expect(window.add(each)).toBe(false);
        });
        expect(window.size).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('does nothing where what is taken back was never there', () => {
    const window = new NonceWindow();
    window.add(entry({ a: 1, b: 1, c: 1, d: 1, expires: 100 }));
    window.delete(entry({ a: 1, b: 1, c: 2, d: 1, expires: 100 }));
    window.delete(entry({ a: 1, b: 1, c: 1, d: 1, expires: 500 }));
    expect(window.size).toBe(1);
  });

  it('knows a nonce again under another expiry, near or far', () => {
    const window = new NonceWindow();
    const words = { a: 1, b: 2, c: 3, d: 4 };
    expect(window.add(entry({ ...words, expires: 1000 }))).toBe(true);
    for (const expires of [999, 1001, 1064, 1, 2 ** 32 - 1]) {
      expect(window.add(entry({ ...words, expires }))).toBe(false);
    }
    expect(window.size).toBe(1);
  });

  it.each(['a', 'b', 'c', 'd'] as const)('tells apart two nonces that differ in word %s alone', (word) => {
    const window = new NonceWindow();
    const words = { a: 5, b: 5, c: 5, d: 5, expires: 1000 };
    expect(window.add(entry(words))).toBe(true);
    expect(window.add(entry({ ...words, [word]: 6 }))).toBe(true);
  });

  it('holds a nonce whose digest is all zeros', () => {
    const window = new NonceWindow();
    const zero = entry({ a: 0, b: 0, c: 0, d: 0, expires: 1 });
    expect(window.add(zero)).toBe(true);
    expect(window.add(zero)).toBe(false);
  });

  it('grows to 100,000 without losing one, and takes half of them back', () => {
    const window = new NonceWindow();
    const entries = Array.from({ length: 100_000 }, (_, i) => {
      const bytes = Buffer.alloc(ENTRY_BYTES);
      encodeNonce({ keyid: 'demo', value: `nonce-${i}`, created: 0, expires: 1000 + (i % 200) }, bytes, 0);
      return bytes;
    });
    const count = (wanted: boolean) => entries.filter((each) => window.add(each) === wanted).length;
    expect(count(true)).toBe(100_000);
    expect(window.size).toBe(100_000);
    expect(count(false)).toBe(100_000);
    const [odd, even] = [entries.filter((_, i) => i % 2), entries.filter((_, i) => !(i % 2))];
    for (const each of odd) window.delete(each);
    expect(window.size).toBe(50_000);
    expect(even.filter((each) => window.add(each))).toEqual([]);
    expect(odd.filter((each) => !window.add(each))).toEqual([]);
  });

  it('grows inside one chain of collisions', () => {
    const window = new NonceWindow();
    const chain = Array.from({ length: 2000 }, (_, c) => entry({ a: 9, b: 9, c, d: 0, expires: 1000 }));
    expect(chain.filter((each) => !window.add(each))).toEqual([]);
    expect(chain.filter((each) => window.add(each))).toEqual([]);
  });

  describe('forgetting', () => {
    it('takes nothing that expires after the horizon, at every second around a generation', () => {
      for (let horizon = 60; horizon <= 200; horizon++) {
        const window = new NonceWindow();
        const all = Array.from({ length: 300 }, (_, i) => entry({ a: i, b: 0, c: 0, d: 0, expires: i + 1 }));
        for (const each of all) window.add(each);
        window.forget(horizon);
        expect(all.slice(horizon).filter((each) => window.add(each))).toEqual([]);
      }
    });

    it('lets go, a minute or so later, of what expired: memory does not grow for ever', () => {
      const window = new NonceWindow();
      for (let second = 1; second <= 10_000; second++) {
        window.add(entry({ a: second, b: 0, c: 0, d: 0, expires: second }));
        window.forget(second - 100);
        expect(window.size).toBeLessThanOrEqual(100 + 64);
      }
    });

    it('brings nothing back when the horizon is lower than before', () => {
      const window = new NonceWindow();
      window.add(entry({ a: 1, b: 0, c: 0, d: 0, expires: 10 }));
      window.forget(1000);
      window.forget(1);
      expect(window.size).toBe(0);
    });
  });
});

describe('the stored form of a nonce', () => {
  const nonce = {
    keyid: 'demo.key',
    value: 'abcdefghijklmnopqrstuvwx',
    created: 1_800_000_000,
    expires: 1_800_000_060,
  };

  it('is 16 bytes of SHA-256 over keyid, line break and nonce, then the expiry, little-endian', () => {
    const bytes = Buffer.alloc(ENTRY_BYTES);
    encodeNonce(nonce, bytes, 0);
    const digest = createHash('sha256').update('demo.key\nabcdefghijklmnopqrstuvwx').digest();
    expect(bytes.subarray(0, 16)).toEqual(digest.subarray(0, 16));
    expect(bytes.readUInt32LE(16)).toBe(1_800_000_060);
  });

  it('touches no byte outside its 20', () => {
    const bytes = Buffer.alloc(3 * ENTRY_BYTES, 0xaa);
    encodeNonce(nonce, bytes, ENTRY_BYTES);
    expect(bytes.subarray(0, ENTRY_BYTES)).toEqual(Buffer.alloc(ENTRY_BYTES, 0xaa));
    expect(bytes.subarray(2 * ENTRY_BYTES)).toEqual(Buffer.alloc(ENTRY_BYTES, 0xaa));
  });

  it('gives each pair of keyid and nonce its own name', () => {
    const visible = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-', ':', '/'), maxLength: 4 });
    fc.assert(
      fc.property(visible, visible, visible, visible, (keyid, value, otherKeyid, otherValue) => {
        const [one, other] = [Buffer.alloc(ENTRY_BYTES), Buffer.alloc(ENTRY_BYTES)];
        encodeNonce({ ...nonce, keyid, value }, one, 0);
        encodeNonce({ ...nonce, keyid: otherKeyid, value: otherValue }, other, 0);
        expect(one.equals(other)).toBe(keyid === otherKeyid && value === otherValue);
      }),
    );
  });
});
