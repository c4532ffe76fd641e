/** Refusals before a good MAC: counted by address, written in rows that nobody can multiply. */
import { describe, expect, it } from 'vitest';
import { MOST_ROWS, UnverifiedCalls } from '../../src/audit/unverified-calls.ts';

const detailsOf = (calls: UnverifiedCalls) => calls.take().map(({ detail }) => detail);

describe('calls without a good MAC', () => {
  it('are counted by address and code, and start anew once taken', () => {
    const calls = new UnverifiedCalls();
    for (let i = 0; i < 3; i++) calls.count('192.0.2.1', 'signature-invalid');
    calls.count('192.0.2.1', 'signature-missing');
    calls.count('192.0.2.2', 'not-found');
    expect(calls.take()).toEqual([
      {
        actor: 'gateway',
        action: 'calls.unverified',
        subject: 'gateway',
        detail: { address: '192.0.2.1', counts: { 'signature-invalid': 3, 'signature-missing': 1 } },
      },
      expect.objectContaining({ detail: { address: '192.0.2.2', counts: { 'not-found': 1 } } }),
    ]);
    expect(calls.take()).toEqual([]);
  });

  it('count IPv6 by /64, and what has no address under one name', () => {
    const calls = new UnverifiedCalls();
    calls.count('2001:db8::1', 'not-found');
    calls.count('2001:db8::2', 'not-found');
    calls.count('', 'request-malformed');
    expect(detailsOf(calls)).toEqual([
      { address: '2001:db8:0:0::/64', counts: { 'not-found': 2 } },
      { address: 'unknown', counts: { 'request-malformed': 1 } },
    ]);
  });

  it(`give the ${MOST_ROWS} busiest addresses a row each, and the others one together`, () => {
    const calls = new UnverifiedCalls();
    for (let i = 0; i < 250; i++) {
      calls.count(`192.0.2.${i}`, 'signature-invalid');
      // Late, and busier than those before.
      if (i >= 200) calls.count(`192.0.2.${i}`, 'not-found');
    }
    const rows = detailsOf(calls) as { address: string; counts: Record<string, number> }[];
    expect(rows).toHaveLength(MOST_ROWS + 1);
    expect(rows.slice(0, 50).map(({ address }) => Number(address.split('.')[3]))).toEqual(
      Array.from({ length: 50 }, (_, i) => 200 + i),
    );
    expect(rows.at(-1)).toEqual({ address: 'others', counts: { 'signature-invalid': 150 } });
  });

  it('are all counted, also from more addresses than are told apart, in bounded memory', () => {
    const calls = new UnverifiedCalls();
    for (let i = 0; i < 30_000; i++) calls.count(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 'not-found');
    const held = Reflect.get(calls, 'byAddress') as Map<string, unknown>;
    expect(held.size).toBe(10_000);
    const rows = detailsOf(calls) as { counts: Record<string, number> }[];
    expect(rows.reduce((all, { counts }) => all + (counts['not-found'] ?? 0), 0)).toBe(30_000);
    expect(rows).toHaveLength(MOST_ROWS + 1);
  });

  it('that could not be written are counted again with what came meanwhile', () => {
    const calls = new UnverifiedCalls();
    for (let i = 0; i < 150; i++) calls.count(`192.0.2.${i}`, 'not-found');
    calls.count('192.0.2.7', 'not-found');
    const taken = calls.take();
    calls.count('192.0.2.7', 'signature-invalid');
    calls.putBack(taken);
    const rows = detailsOf(calls) as { address: string; counts: Record<string, number> }[];
    expect(rows[0]).toEqual({ address: '192.0.2.7', counts: { 'signature-invalid': 1, 'not-found': 2 } });
    expect(rows.at(-1)).toEqual({ address: 'others', counts: { 'not-found': 50 } });
  });
});
