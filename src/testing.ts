/**
 * The `countersign/testing` export: a gateway in the test's own process under a clock that the test sets, and
 * cassettes, so that the signed requests of one day can be replayed on another.
 * @module
 */
export { CountersignError, type ErrorCode } from './errors.ts';
export {
  type Cassette,
  type RecordedExchange,
  type RecordedRequest,
  type RecordedResponse,
  readCassette,
} from './testing/cassette.ts';
export { type RecordOptions, record } from './testing/record.ts';
export { type Replayed, type ReplayOptions, replay } from './testing/replay.ts';
export { seededNonces } from './testing/seeded-nonces.ts';
export { TestClock } from './testing/test-clock.ts';
export {
  startTestGateway,
  type TestConsumer,
  type TestGateway,
  type TestGatewayOptions,
} from './testing/test-gateway.ts';
export {
  startTestUpstream,
  type TestUpstream,
  type UpstreamAnswer,
  type UpstreamRequest,
} from './testing/test-upstream.ts';
