/** A blob opens for its own purpose, record and key version alone, and not with one bit changed. */
import { createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyVault, unwrapKeys, wrapNewKey } from '../../src/consumers/key-vault.ts';

const master = randomBytes(32);
const first = wrapNewKey(master, 'data-key', 1);
const second = wrapNewKey(master, 'data-key', 2);
const vault = new KeyVault(unwrapKeys(master, 'data-key', [first]));
const rotated = new KeyVault(unwrapKeys(master, 'data-key', [second, first]));
const secret = randomBytes(64);
const unopened = expect.objectContaining({ code: 'store-failed' });
const wrongMaster = expect.objectContaining({ code: 'master-key-wrong' });

/** The same blob under another key version: the first four bytes. */
function underVersion(version: number, blob: Buffer): Buffer {
  const copy = Buffer.from(blob);
  copy.writeUInt32BE(version, 0);
  return copy;
}

describe('the key vault', () => {
  it('opens what it sealed, of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, record) => {
        expect(vault.open('key', record, vault.seal('key', record, bytes))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('derives a key for each purpose, which stays when a newer data key seals', () => {
    expect(vault.derivedKey('ticket')).toHaveLength(32);
    expect(vault.derivedKey('ticket')).toEqual(rotated.derivedKey('ticket'));
    expect(vault.derivedKey('ticket')).not.toEqual(vault.derivedKey('csrf'));
  });

  it('never seals alike twice, and shows nothing of the secret', () => {
    const [one, other] = [vault.seal('key', 'demo.1', secret), vault.seal('key', 'demo.1', secret)];
    expect(one.equals(other)).toBe(false);
    expect(one.subarray(16, -16).equals(other.subarray(16, -16))).toBe(false);
    expect(one.includes(secret.subarray(0, 8))).toBe(false);
  });

  it.each([
    ['another purpose', 'data-key', 'demo.1'],
    ['another record', 'key', 'demo.2'],
    ['a record whose name begins alike', 'key', 'demo.1 '],
    ['no record', 'key', ''],
  ] as const)('opens for no other use: %s', (_what, purpose, record) => {
    const blob = vault.seal('key', 'demo.1', secret);
    expect(() => vault.open(purpose, record, blob)).toThrow(unopened);
  });

  it('seals under the newest data key, and opens what older ones sealed', () => {
    expect(rotated.seal('key', 'demo.1', secret).readUInt32BE(0)).toBe(2);
    expect(rotated.open('key', 'demo.1', vault.seal('key', 'demo.1', secret))).toEqual(secret);
  });

  it('opens under no other version than the one that sealed', () => {
    const [old, young] = [vault.seal('key', 'demo.1', secret), rotated.seal('key', 'demo.1', secret)];
    expect(() => rotated.open('key', 'demo.1', underVersion(2, old))).toThrow(unopened);
    expect(() => rotated.open('key', 'demo.1', underVersion(1, young))).toThrow(unopened);
    expect(() => vault.open('key', 'demo.1', young)).toThrow(unopened);
    expect(() => vault.open('key', 'demo.1', underVersion(0xffffffff, old))).toThrow(unopened);
  });

  it('fails on each flipped bit of a blob', () => {
    const blob = vault.seal('key', 'demo.1', secret);
    for (let bit = 0; bit < blob.length * 8; bit++) {
      const copy = Buffer.from(blob);
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => vault.open('key', 'demo.1', copy), `bit ${bit}`).toThrow(unopened);
    }
  });

  it('fails on each shorter and each longer blob, down to nothing', () => {
    const blob = vault.seal('key', 'demo.1', secret);
    for (let length = 0; length < blob.length; length++) {
      expect(() => vault.open('key', 'demo.1', blob.subarray(0, length)), `${length} bytes`).toThrow(
        unopened,
      );
    }
    expect(() => vault.open('key', 'demo.1', Buffer.concat([blob, Buffer.alloc(1)]))).toThrow(unopened);
  });

  it('keeps to its layout on disk, which what was sealed long ago relies on', () => {
    const open = (key: Uint8Array, purpose: string, record: string, blob: Buffer): Buffer => {
      const version = blob.readUInt32BE(0);
      const info = `countersign ${purpose} ${record}`;
      const derived = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), info, 32));
      const decipher = createDecipheriv('aes-256-gcm', derived, blob.subarray(4, 16));
      decipher.setAAD(Buffer.from(`["${purpose}","${record}",${version}]`));
      decipher.setAuthTag(blob.subarray(-16));
      return Buffer.concat([decipher.update(blob.subarray(16, -16)), decipher.final()]);
    };
    const dataKey = open(master, 'data-key', '1', first.wrapped);
    expect(open(dataKey, 'key', 'demo.1', vault.seal('key', 'demo.1', secret))).toEqual(secret);
  });

  it('names the record in its failure, never the secret', () => {
    const blob = vault.seal('key', 'demo.1', secret);
    expect(() => vault.open('key', 'demo.2', blob)).toThrow(/key demo\.2/);
  });
});

describe('opening the vault', () => {
  it('needs the master key that wrapped every data key', () => {
    const foreign = wrapNewKey(randomBytes(32), 'data-key', 2);
    expect(() => new KeyVault(unwrapKeys(randomBytes(32), 'data-key', [first]))).toThrow(wrongMaster);
    expect(() => new KeyVault(unwrapKeys(master, 'data-key', [first, foreign]))).toThrow(wrongMaster);
  });

  it('refuses a data key that is passed off as another version', () => {
    expect(
      () => new KeyVault(unwrapKeys(master, 'data-key', [{ version: 2, wrapped: first.wrapped }])),
    ).toThrow(wrongMaster);
    const renamed = underVersion(2, first.wrapped);
    expect(() => new KeyVault(unwrapKeys(master, 'data-key', [{ version: 2, wrapped: renamed }]))).toThrow(
      wrongMaster,
    );
  });

  it('fails on each flipped byte of a wrapped data key', () => {
    for (let at = 0; at < first.wrapped.length; at++) {
      const wrapped = Buffer.from(first.wrapped);
      wrapped[at] = (wrapped[at] as number) ^ 0x80;
      expect(
        () => new KeyVault(unwrapKeys(master, 'data-key', [{ version: 1, wrapped }])),
        `byte ${at}`,
      ).toThrow(wrongMaster);
    }
  });

  it('gives each data key to one folder: two wraps are two keys', () => {
    const other = new KeyVault(unwrapKeys(master, 'data-key', [wrapNewKey(master, 'data-key', 1)]));
    expect(() => other.open('key', 'demo.1', vault.seal('key', 'demo.1', secret))).toThrow(unopened);
  });
});
