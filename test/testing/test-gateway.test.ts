/** The gateway that a test author starts: its consumers, its clock, its seeded nonces. */
import { existsSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  readCassette,
  record,
  seededNonces,
  startTestGateway,
  TestClock,
  type TestGatewayOptions,
} from '../../src/testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const path = temporaryFolder();
const shop = {
  name: 'shop',
  keyid: 'shop.1',
  secret: Buffer.alloc(64, 7).toString('base64'),
  roles: ['orders'],
};

async function gatewayWith(options: TestGatewayOptions = {}) {
  const gateway = await startTestGateway(options);
  onTestFinished(() => gateway.close());
  return gateway;
}

describe('a test gateway', () => {
  it('is called by the demo consumer at once, and by whom the test adds', async () => {
    const gateway = await gatewayWith();
    const whoami = async (fetch: ReturnType<typeof gateway.signedFetch>) =>
      (await fetch('/v1/whoami')).json();
    expect(await whoami(gateway.signedFetch())).toMatchObject({ consumer: 'demo' });
    const added = await gateway.addConsumer('till', 'orders');
    expect(await whoami(gateway.signedFetch(added))).toMatchObject({ consumer: 'till', roles: ['orders'] });
  });

  it('holds the keys that the test chose, at any time', async () => {
    const gateway = await gatewayWith({ consumers: [shop] });
    const fetch = gateway.signedFetch(shop);
    for (const year of [2001, 2026, 2100]) {
      gateway.clock.set(new Date(`${year}-01-01`));
      expect(await (await fetch('/v1/whoami')).json()).toMatchObject({ keyid: 'shop.1', roles: ['orders'] });
    }
  });

  it('keeps them in a kept folder', async () => {
    const folder = path('kept');
    for (let start = 0; start < 2; start++) {
      const gateway = await gatewayWith({ folder, consumers: [shop] });
      expect((await gateway.signedFetch(shop)('/v1/whoami')).status).toBe(200);
      await gateway.close();
    }
    expect(existsSync(folder)).toBe(true);
  });

  it('leaves no folder behind', async () => {
    const gateway = await startTestGateway();
    expect(existsSync(gateway.folder)).toBe(true);
    await gateway.close();
    expect(existsSync(gateway.folder)).toBe(false);
  });

  it('sends its clients nowhere else, whatever url their credentials name', async () => {
    const gateway = await gatewayWith({ consumers: [shop] });
    const fetch = gateway.signedFetch({ ...shop, url: 'https://api.example.com' });
    expect((await fetch('/v1/whoami')).status).toBe(200);
  });

  it.each([
    ['a short secret', { ...shop, secret: 'YQ==' }, 'credentials-invalid'],
    ['a name in capitals', { ...shop, name: 'Shop' }, 'consumer-invalid'],
    ['the name of the demo consumer', { ...shop, name: 'demo' }, 'consumer-exists'],
  ])('does not start with %s', async (_what, consumer, code) => {
    await expect(startTestGateway({ consumers: [consumer] })).rejects.toMatchObject({ code });
  });

  it('does not start without its cassette', async () => {
    await expect(startTestGateway({ cassette: path('nowhere') })).rejects.toMatchObject({
      code: 'cassette-invalid',
    });
  });
});

describe('a seed', () => {
  it('makes the same nonces in the same order', () => {
    const [first, second, other] = [seededNonces('a'), seededNonces('a'), seededNonces('b')];
    const drawn = Array.from({ length: 1000 }, first);
    expect(Array.from({ length: 1000 }, second)).toEqual(drawn);
    expect(new Set(drawn).size).toBe(1000);
    expect(drawn).not.toContain(other());
    for (const nonce of drawn) expect(nonce).toMatch(/^[A-Za-z0-9_-]{32}$/);
  });

  it('tells a number from its digits', () => {
    expect(seededNonces(1)()).not.toBe(seededNonces('1')());
  });

  it('makes the same signatures in two runs, as far as the port is the same', async () => {
    const nonces = async () => {
      const gateway = await gatewayWith({ consumers: [shop], seed: 'orders', clock: new TestClock(1.79e12) });
      const file = path('seeded.jsonl');
      const onExchange = record(file);
      // Two clients of one gateway share its nonces, so that neither burns the other's.
      for (const fetch of [
        gateway.signedFetch(shop, { onExchange }),
        gateway.signedFetch(shop, { onExchange }),
      ]) {
        expect((await fetch('/v1/whoami')).status).toBe(200);
      }
      return readCassette(file).exchanges.map(({ request }) => request.fields.get('signature-input'));
    };
    expect(await nonces()).toEqual(await nonces());
  });

  it('is not there by default: a gateway on a kept folder knows the nonces of its last run', async () => {
    const folder = path('restarted');
    for (let start = 0; start < 2; start++) {
      const gateway = await gatewayWith({ folder, consumers: [shop], clock: new TestClock(1.79e12) });
      expect((await gateway.signedFetch(shop)('/v1/whoami')).status).toBe(200);
      await gateway.close();
    }
  });
});

describe('a test clock', () => {
  it('stands still until it is moved or set', () => {
    const clock = new TestClock(new Date('2026-11-21T10:00:00Z'));
    const start = clock.now();
    clock.advance(1.5);
    expect(clock.now()).toBe(start + 1500);
    clock.advance(-1.5);
    expect(clock.now()).toBe(start);
    clock.set(7);
    expect(clock.now()).toBe(7);
  });
});
