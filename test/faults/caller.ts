/**
 * A client that asks until it is answered. Under an Idempotency-Key it is `signedFetch`, which signs each try afresh;
 * without one, the same signed bytes are sent again for as long as they are acceptable.
 * @module
 */
import {
  CountersignError,
  type Credentials,
  createTransport,
  draftRequest,
  exchange,
  type PreparedRequest,
  prepareRequest,
  ResponseError,
  type SignedFetch,
  signedFetch,
  signingKey,
} from '../../src/client/index.ts';
import type { Chance } from '../gateway/chance.ts';
import type { Answer, Books, Line } from './books.ts';
import { ACCOUNTS, type By, COUNTERS, pathOf, type Work } from './effects.ts';

/** Where the gateway is, when there is one. */
export interface Place {
  readonly url: string;
  /** Resolves while a gateway listens. */
  readonly ready: () => Promise<void>;
  /** Told of every answer. */
  readonly onAnswer?: () => void;
  /** Told of every try that no answer came to, or one that promises nothing. */
  readonly onMiss?: (error: CountersignError) => void;
}

export interface CallerOptions {
  readonly name: string;
  readonly credentials: Credentials;
  readonly place: Place;
  readonly books: Books;
  readonly chance: Chance;
  /** Codes of failures after which it asks again, besides those that always pass. */
  readonly passing: readonly CountersignError['code'][];
  /** Milliseconds that one try may take. */
  readonly patience?: number;
}

/** Seconds; the gateway's own limit. */
const LIFE = 300;
const MEBIBYTE = 1024 * 1024;

/** What is answered to a message whose effect nobody knows, or that was not even looked at. */
const PASSING = new Set<string>([
  'connection-lost',
  'timeout',
  'store-unavailable',
  'overloaded',
  'idempotency-in-flight',
]);

type Send = () => Promise<Answer>;

export class Caller {
  private readonly options: CallerOptions;
  private readonly fetch: SignedFetch;
  private readonly transport = createTransport();
  /** What was answered, and how to ask it again. */
  private asked: { readonly line: Line; readonly send: Send }[] = [];
  private count = 0;

  constructor(options: CallerOptions) {
    this.options = options;
    const { credentials, place, chance, patience = 10_000 } = options;
    const own = { ...credentials, url: place.url };
    this.fetch = signedFetch(own, { timeout: patience, random: () => chance.below(1000) / 1000 });
  }

  /**
   * One new call, until it is answered.
   * @param atOnce how often it is asked at the same time; now and then the client is so impatient that it asks twice.
   */
  async call(
    work: Work = this.invent(),
    by: By = this.options.chance.pick(['nonce', 'key']),
    atOnce = this.options.chance.below(8) === 0 ? 2 : 1,
  ): Promise<Line> {
    const { books } = this.options;
    const line = books.begin(work, by);
    const send = by === 'key' ? this.byKey(work) : this.byNonce(work);
    await Promise.all(Array.from({ length: atOnce }, () => this.ask(line, send)));
    if (line.standing === 'done') this.asked.push({ line, send });
    return line;
  }

  /** Asks again for what was answered since the last time, or for some of it. */
  async askAgain(most: number): Promise<void> {
    const { chance } = this.options;
    const asked = this.asked;
    this.asked = [];
    for (let i = 0; i < most && asked.length > 0; i++) {
      const [each] = asked.splice(chance.below(asked.length), 1);
      if (each) await this.ask(each.line, each.send);
    }
  }

  close(): void {
    this.fetch.close();
    this.transport.close();
  }

  private invent(): Work {
    const { chance, name } = this.options;
    const op = `${name}-${++this.count}`;
    if (chance.below(2) === 0) return { op, counter: chance.pick(COUNTERS), amount: 1 + chance.below(3) };
    const from = chance.pick(ACCOUNTS);
    const to = chance.pick(ACCOUNTS.filter((each) => each !== from));
    return { op, from, to, amount: 1 + chance.below(400) };
  }

  private async ask(line: Line, send: Send): Promise<void> {
    const { books, place } = this.options;
    for (;;) {
      await place.ready();
      line.tries++;
      const knewDone = line.standing === 'done';
      try {
        const answer = await send();
        const isAgain = line.tries > 1;
        place.onAnswer?.();
        if (isLate(answer)) {
          if (line.by === 'key') continue;
          // The message can't become good again. What its first sending did is known only if that was answered.
          if (line.standing === 'open') line.standing = isAgain ? 'unknown' : 'refused';
          return;
        }
        if (isAgain && answer.refusal === 'nonce-replayed' && line.standing === 'open') {
          // The first was refused, and its answer was lost. The comparison sees to it that it took no effect.
          line.standing = 'refused';
          line.first = answer;
          return;
        }
        books.enter(line, answer, knewDone);
        return;
      } catch (error) {
        if (!(error instanceof CountersignError) || !this.passes(error)) {
          books.note(line.work, `failed: ${String(error)}`);
          return;
        }
        place.onMiss?.(error);
      }
    }
  }

  private passes({ code }: CountersignError): boolean {
    return PASSING.has(code) || this.options.passing.includes(code);
  }

  private byKey(work: Work): Send {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(work),
      idempotencyKey: work.op,
    };
    return async () => {
      try {
        const response = await this.fetch(pathOf(work, 'key'), init);
        const replayed = response.headers.get('idempotent-replayed') === 'true';
        return { status: response.status, body: await response.text(), refusal: undefined, replayed };
      } catch (error) {
        return refusalOf(error);
      }
    };
  }

  private byNonce(work: Work): Send {
    const { credentials, place, patience = 10_000 } = this.options;
    const draft = draftRequest({
      method: 'POST',
      origin: place.url,
      target: pathOf(work, 'nonce'),
      headers: [['content-type', 'application/json']],
      body: JSON.stringify(work),
    });
    const created = Math.floor(Date.now() / 1000);
    const prepared = prepareRequest(draft, signingKey(credentials), { created, expires: created + LIFE });
    return () => this.send(prepared, patience);
  }

  private async send(prepared: PreparedRequest, patience: number): Promise<Answer> {
    const timeout = new CountersignError('timeout', 'The client has lost its patience.');
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(timeout), patience);
    const { transport } = this;
    try {
      const made = await exchange(prepared, {
        transport,
        signal: controller.signal,
        maxResponseBody: MEBIBYTE,
      });
      if (made.error) return refusalOf(made.error);
      const { status, body, fields } = made.verified as NonNullable<typeof made.verified>;
      return {
        status,
        body: Buffer.from(body).toString(),
        refusal: undefined,
        replayed: fields.get('idempotent-replayed') === 'true',
      };
    } finally {
      clearTimeout(timer);
    }
  }
}

const isLate = ({ refusal }: Answer) => refusal === 'signature-expired' || refusal === 'clock-skew';

/** A refusal that is an answer; throws what isn't. */
function refusalOf(error: unknown): Answer {
  if (!(error instanceof ResponseError) || !error.verified || PASSING.has(error.code)) throw error;
  return { status: error.status ?? 0, body: error.message, refusal: error.code, replayed: false };
}
