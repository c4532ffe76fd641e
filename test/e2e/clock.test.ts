/**
 * A clock that steps back after nonces were forgotten: no message comes good a second time.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, TestClock, type TestGateway } from '../../src/testing.ts';
import {
  type Answer,
  type Draft,
  problem,
  type RawRequest,
  send,
  sign,
  verifyAnswer,
} from '../gateway/wire.ts';
import { endAll, temporaryFolder } from './processes.ts';

const AUTHORITY = 'gateway.test';
/** Longer than any nonce of this test is kept: 60 s of life, the skew, and 60 s more. */
const LONG_AFTER = 200;

let folder: string;
let clock: TestClock;
let gateway: TestGateway;

const start = () => startTestGateway({ folder, clock, settings: { origins: [`http://${AUTHORITY}`] } });

beforeEach(async () => {
  folder = temporaryFolder();
  clock = new TestClock();
  gateway = await start();
});
afterEach(async () => {
  await gateway.close();
  await endAll();
});

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, { host: AUTHORITY, ...draft });

/** Sends it; the answer is signed whatever it says. @returns `ok`, or the code of the refusal. */
async function outcome(request: RawRequest): Promise<string> {
  const answer: Answer = await send(gateway, request);
  verifyAnswer(answer, request, gateway.credentials);
  return answer.status === 200 ? 'ok' : problem(answer).code;
}

/** Messages that were done and forgotten, before the clock was set back to when they were sent. */
async function forgottenMessages(): Promise<RawRequest[]> {
  const messages = [signed(), signed({ method: 'GET', target: '/v1/whoami' })];
  for (const message of messages) expect(await outcome(message)).toBe('ok');
  clock.advance(LONG_AFTER);
  expect(await outcome(signed())).toBe('ok');
  await gateway.store.purge();
  clock.advance(-LONG_AFTER);
  return messages;
}

describe('after a clock has stepped back behind a purge', () => {
  it('what was done and forgotten is refused as expired', async () => {
    for (const message of await forgottenMessages()) expect(await outcome(message)).toBe('signature-expired');
  });

  it('so it is after a restart', async () => {
    const messages = await forgottenMessages();
    await gateway.close();
    gateway = await start();
    for (const message of messages) expect(await outcome(message)).toBe('signature-expired');
  });

  it('so it is when another purge has run under the clock that went back', async () => {
    const messages = await forgottenMessages();
    await gateway.store.purge();
    for (const message of messages) expect(await outcome(message)).toBe('signature-expired');
  });

  it('what was not forgotten is refused as replayed', async () => {
    const message = signed();
    await forgottenMessages();
    expect(await outcome(message)).toBe('signature-expired');
    const later = signed({ expires: Math.floor(clock.now() / 1000) + 290 });
    expect(await outcome(later)).toBe('ok');
    expect(await outcome(later)).toBe('nonce-replayed');
  });

  it('fresh messages are served again as soon as they outlive what was forgotten', async () => {
    await forgottenMessages();
    expect(await outcome(signed())).toBe('signature-expired');
    clock.advance(1);
    expect(await outcome(signed())).toBe('ok');
  });
});
