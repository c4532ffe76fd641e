/** The types that a test author writes against. */
import { describe, expectTypeOf, it } from 'vitest';
import type { SignedFetch, SignedFetchOptions } from '../../src/client/index.ts';
import {
  type Cassette,
  type ErrorCode,
  type RecordedResponse,
  type Replayed,
  readCassette,
  record,
  replay,
  seededNonces,
  startTestGateway,
  type TestGateway,
} from '../../src/testing.ts';

describe('the types of countersign/testing', () => {
  it('fit the options of signedFetch', () => {
    expectTypeOf(record).returns.toExtend<NonNullable<SignedFetchOptions['onExchange']>>();
    expectTypeOf(seededNonces).returns.toExtend<NonNullable<SignedFetchOptions['nonce']>>();
    expectTypeOf<TestGateway['clock']>().toExtend<NonNullable<SignedFetchOptions['clock']>>();
    expectTypeOf<TestGateway['signedFetch']>().returns.toEqualTypeOf<SignedFetch>();
  });

  it('give a replay its three parts', () => {
    expectTypeOf(replay).parameter(0).toEqualTypeOf<Cassette | string>();
    expectTypeOf(replay).returns.toExtend<AsyncIterable<Replayed>>();
    expectTypeOf<Replayed['recorded']>().toEqualTypeOf<RecordedResponse>();
    expectTypeOf<Replayed['answer']['refusal']>().toEqualTypeOf<string | undefined>();
    expectTypeOf(readCassette).returns.toEqualTypeOf<Cassette>();
    expectTypeOf<'cassette-invalid'>().toExtend<ErrorCode>();
  });

  it('let a gateway be started with what consumer add --json printed, and a name', () => {
    const printed = { consumer: 'shop', keyid: 'shop.1', secret: 'c2VjcmV0', roles: ['orders'] };
    expectTypeOf(startTestGateway).toBeCallableWith({ consumers: [{ name: 'shop', ...printed }] });
    expectTypeOf(startTestGateway).toBeCallableWith({ cassette: 'orders.jsonl', seed: 1 });
    // @ts-expect-error A consumer of a test has a key.
    expectTypeOf(startTestGateway).toBeCallableWith({ consumers: [{ name: 'shop' }] });
    // @ts-expect-error A replay needs a gateway.
    expectTypeOf(replay).toBeCallableWith('orders.jsonl');
  });
});
