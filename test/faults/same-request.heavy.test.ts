/** The long version of same-request.test.ts. */
import { it } from 'vitest';
import { raceSameRequests } from './same-request.ts';

it(
  'two gateways that are given the same signed request at the same instant carry it out once, each of 1,000 times',
  () => raceSameRequests(1000),
  600_000,
);
