/** Keys as the pipeline meets them: looked up once, dropped when their consumer changes. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Consumer, ConsumerKey, ConsumerReader } from '../../src/consumers/consumer.ts';
import { type ActiveKey, KeyDirectory } from '../../src/consumers/key-directory.ts';
import { KeyVault, unwrapKeys, wrapNewKey } from '../../src/consumers/key-vault.ts';
import { grants } from '../../src/security/roles.ts';
import { narrow } from '../../src/security/security-context.ts';

const NOW = 1_800_000_000;
const master = randomBytes(32);
const vault = new KeyVault(unwrapKeys(master, 'data-key', [wrapNewKey(master, 'data-key', 1)]));
const secret = randomBytes(64);

/** A store of two maps that counts how often it is asked. */
class Shelf implements ConsumerReader {
  readonly consumers = new Map<string, Consumer>();
  readonly keys = new Map<string, ConsumerKey>();
  lookups = 0;

  put(keyid: string, consumer: Partial<Consumer> = {}, key: Partial<ConsumerKey> = {}): void {
    const name = consumer.name ?? 'shop';
    this.consumers.set(name, {
      id: `id-of-${name}`,
      name,
      roles: ['orders'],
      createdAt: NOW,
      version: 1,
      ...consumer,
    });
    const sealedSecret = vault.seal('key', keyid, secret);
    const dates = { createdAt: NOW, notBefore: NOW, notAfter: NOW + 100, vouchedAt: NOW };
    this.keys.set(keyid, { keyid, consumer: name, sealedSecret, ...dates, ...key });
  }

  findKey(keyid: string): { consumer: Consumer; key: ConsumerKey } | undefined {
    this.lookups++;
    const key = this.keys.get(keyid);
    return key && { key, consumer: this.consumers.get(key.consumer) as Consumer };
  }

  find(name: string): Consumer | undefined {
    return this.consumers.get(name);
  }

  list(): Consumer[] {
    return [...this.consumers.values()];
  }

  keysOf(name: string): ConsumerKey[] {
    return [...this.keys.values()].filter((key) => key.consumer === name);
  }

  usageOf(): undefined {}

  standingKeys(): [] {
    return [];
  }

  findGrant(): undefined {}

  grants(): [] {
    return [];
  }
}

function stocked(...args: Parameters<Shelf['put']>): { shelf: Shelf; directory: KeyDirectory } {
  const shelf = new Shelf();
  shelf.put(...args);
  return { shelf, directory: new KeyDirectory(shelf, vault) };
}

function find(directory: KeyDirectory, keyid: string): ActiveKey {
  const key = directory.find(keyid);
  if (!key) throw new Error(`There is no ${keyid}.`);
  return key;
}

describe('the key directory', () => {
  it('finds a key with its secret open and a frozen context', () => {
    const { directory } = stocked('shop.1');
    const key = find(directory, 'shop.1');
    expect(key.secret.export()).toEqual(secret);
    expect(key.context).toEqual({
      principal: 'consumer:shop',
      consumer: 'shop',
      keyid: 'shop.1',
      roles: ['orders'],
    });
    expect(Object.isFrozen(key.context) && Object.isFrozen(key.context.roles)).toBe(true);
  });

  it('asks the store once for a key, and opens its secret once', () => {
    const { shelf, directory } = stocked('shop.1');
    expect(directory.find('shop.1')).toBe(directory.find('shop.1'));
    expect(shelf.lookups).toBe(1);
  });

  it('asks the store each time for one that it does not know: it may have been made just now', () => {
    const { shelf, directory } = stocked('shop.1');
    expect(directory.find('shop.2')).toBeUndefined();
    expect(directory.knows('shop.2')).toBe(false);
    shelf.put('shop.2');
    expect(directory.find('shop.2')).toBeDefined();
    expect(directory.knows('shop.2')).toBe(true);
  });

  it.each(['__proto__', 'constructor', '', 'shop.1\u0000'])('knows nobody by the keyid %j', (keyid) => {
    const { directory } = stocked('shop.1');
    expect(directory.find(keyid)).toBeUndefined();
  });

  it('drops every key of a consumer that changed, and none of another', () => {
    const { shelf, directory } = stocked('shop.1');
    shelf.put('shop.2');
    shelf.put('bank.1', { name: 'bank' });
    for (const keyid of ['shop.1', 'shop.2', 'bank.1']) find(directory, keyid);
    shelf.put('shop.1', { disabledAt: NOW }, { revokedAt: NOW });
    expect(find(directory, 'shop.1').inactive(NOW)).toBeUndefined();
    directory.forget('shop');
    expect(['shop.1', 'shop.2', 'bank.1'].map((keyid) => directory.knows(keyid))).toEqual([
      false,
      false,
      true,
    ]);
    expect(find(directory, 'shop.1').inactive(NOW)).toMatch(/disabled/);
  });

  it('fails, and holds nothing, where a secret does not open', () => {
    const { shelf, directory } = stocked('shop.1');
    shelf.put('shop.2');
    const stolen = (shelf.keys.get('shop.1') as ConsumerKey).sealedSecret;
    shelf.put('shop.2', {}, { sealedSecret: stolen });
    expect(() => directory.find('shop.2')).toThrow(expect.objectContaining({ code: 'store-failed' }));
    expect(directory.knows('shop.2')).toBe(false);
  });
});

/** Roles over few words, so that they nest often. */
const role = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((words) => words.join(':'));
const roles = fc.uniqueArray(role, { maxLength: 5 });
const holds = (held: readonly string[], needed: string) => held.some((each) => grants(each, needed));

describe('the roles of a call', () => {
  it('are those that consumer, key and Countersign-Narrow all grant, in every combination', () => {
    fc.assert(
      fc.property(roles, fc.option(roles), fc.option(roles), role, (own, subset, narrowed, needed) => {
        const { directory } = stocked('shop.1', { roles: own }, subset ? { roleSubset: subset } : {});
        const { context } = find(directory, 'shop.1');
        const ofKey = holds(own, needed) && (!subset || holds(subset, needed));
        expect(holds(context.roles, needed)).toBe(ofKey);
        if (!narrowed) return;
        if (narrowed.every((each) => holds(context.roles, each)))
          expect(holds(narrow(context, narrowed).roles, needed)).toBe(ofKey && holds(narrowed, needed));
        // Naming what the key lacks is refused, not left out.
        else
          expect(() => narrow(context, narrowed)).toThrow(expect.objectContaining({ code: 'role-missing' }));
      }),
      { numRuns: 1000 },
    );
  });

  it('are none where the subset is empty, or names what the consumer lacks', () => {
    for (const roleSubset of [[], ['users']]) {
      const { directory } = stocked('shop.1', { roles: ['orders'] }, { roleSubset });
      expect(find(directory, 'shop.1').context.roles).toEqual([]);
    }
  });

  it('follow what the consumer has lost', () => {
    const { shelf, directory } = stocked('shop.1', { roles: ['orders'] }, { roleSubset: ['orders:read'] });
    expect(find(directory, 'shop.1').context.roles).toEqual(['orders:read']);
    shelf.put('shop.1', { roles: ['users'] }, { roleSubset: ['orders:read'] });
    directory.forget('shop');
    expect(find(directory, 'shop.1').context.roles).toEqual([]);
  });
});

describe('a key', () => {
  const unasked = () => {
    throw new Error('The certificate was asked for.');
  };

  it('without a list of addresses may be used from any, and with one from those alone', () => {
    const open = find(stocked('shop.1').directory, 'shop.1');
    const bound = find(stocked('shop.1', {}, { allow: ['10.0.0.0/8', '::1'] }).directory, 'shop.1');
    for (const address of ['10.1.2.3', '::1', '192.0.2.1', '']) {
      expect(open.forbids(address, unasked)).toBeUndefined();
    }
    for (const address of ['10.1.2.3', '::1']) expect(bound.forbids(address, unasked)).toBeUndefined();
    expect(bound.forbids('192.0.2.1', unasked)).toContain('192.0.2.1');
    expect(bound.forbids('', unasked)).toBeDefined();
  });

  it('that is bound to a certificate may be used beside it alone, and where its addresses allow it', () => {
    const certificateUri = 'spiffe://example.com/shop';
    const bound = find(stocked('shop.1', {}, { certificateUri, allow: ['::1'] }).directory, 'shop.1');
    expect(bound.forbids('::1', () => certificateUri)).toBeUndefined();
    expect(bound.forbids('::1', () => undefined)).toContain('none that counts');
    expect(bound.forbids('::1', () => `${certificateUri}s`)).toContain(`that of ${certificateUri}s`);
    expect(bound.forbids('192.0.2.1', () => certificateUri)).toContain('192.0.2.1');
  });

  it.each([
    ['the second at which it begins', {}, {}, NOW, undefined],
    ['its last second', {}, {}, NOW + 99, undefined],
    ['the second before it begins', {}, {}, NOW - 1, /not valid yet.*2027-01-15T08:00:00/],
    ['the second at which it ends', {}, {}, NOW + 100, /expired at 2027-01-15T08:01:40/],
    ['any time after it was revoked', {}, { revokedAt: NOW + 5 }, NOW + 10, /revoked/],
    ['the moment it was revoked', {}, { revokedAt: NOW }, NOW, /revoked/],
    ['a clock that lies before its revocation', {}, { revokedAt: NOW + 50 }, NOW + 10, /revoked/],
    ['a disabled consumer', { disabledAt: NOW }, {}, NOW + 10, /disabled/],
    ['a consumer disabled at the epoch', { disabledAt: 0 }, {}, NOW + 10, /disabled/],
  ])('at %s', (_when, consumer, key, now, expected) => {
    const { directory } = stocked('shop.1', consumer, key);
    const why = find(directory, 'shop.1').inactive(now);
    if (expected) expect(why).toMatch(expected);
    else expect(why).toBeUndefined();
  });
});
