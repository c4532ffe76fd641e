/** Refusals after a good MAC that repeat: some rows, then a count, and none lost. */
import { expect, it } from 'vitest';
import { RepeatedRefusals, ROWS_A_MINUTE } from '../../src/audit/repeated-refusals.ts';
import { startTestGateway } from '../../src/testing.ts';
import { send, sign } from '../gateway/wire.ts';

const kind = { actor: 'a1', keyid: 'shop.1', code: 'nonce-replayed' };

it('gives the first of a minute a row each, and counts the rest by key and code', () => {
  const repeated = new RepeatedRefusals();
  const rows = Array.from({ length: ROWS_A_MINUTE + 5 }, () => repeated.admit(kind)).filter(Boolean);
  expect(rows).toHaveLength(ROWS_A_MINUTE);
  expect(repeated.admit({ ...kind, code: 'role-missing' })).toBe(true);
  expect(repeated.admit({ ...kind, keyid: 'bank.1' })).toBe(true);
  expect(repeated.take()).toEqual([
    {
      actor: 'a1',
      action: 'calls.refused',
      subject: 'gateway',
      keyid: 'shop.1',
      detail: { code: 'nonce-replayed', count: 5 },
    },
  ]);
  expect(repeated.take()).toEqual([]);
  expect(repeated.admit(kind)).toBe(true);
});

it('counts again what could not be written', () => {
  const repeated = new RepeatedRefusals();
  for (let i = 0; i < ROWS_A_MINUTE + 3; i++) repeated.admit(kind);
  const taken = repeated.take();
  repeated.putBack(taken);
  expect(repeated.take()).toEqual(taken);
});

it('keeps one captured message from filling the record', async () => {
  const gateway = await startTestGateway();
  const request = sign(gateway, gateway.credentials);
  for (let i = 0; i < ROWS_A_MINUTE * 2; i++) await send(gateway, request);
  const rows = [...gateway.store.audit.rows()].filter(({ action }) => action === 'call.refused');
  expect(rows).toHaveLength(ROWS_A_MINUTE);
  await gateway.close();
});
