/**
 * Whether a clock is to blame: the signer's `created` and `expires` against the gateway's clock and this machine's.
 * @module
 */
import type { Cause } from './cause.ts';
import type { GatewayAnswer } from './gateway-answer.ts';

/** Seconds by which a gateway lets clocks differ, unless configured otherwise. */
const SKEW = 30;
/** Seconds: clocks further apart than this are worth a word, where times are what is wrong. */
const APART = 5;

export interface Times {
  readonly created: number;
  readonly expires: number;
}

export interface TimeFinding {
  readonly cause?: Cause;
  readonly note?: string;
}

/** @param now this machine's clock. All in whole seconds since the epoch. */
export function findClockCause(times: Times, answer: GatewayAnswer | undefined, now: number): TimeFinding {
  if (answer?.verified && answer.code === undefined) return {};
  const { created, expires } = times;
  const gateway = answer?.now;
  const reference = gateway ?? now;
  const whose = gateway === undefined ? "this machine's clock" : "the gateway's clock";
  const ahead = created - reference;
  if (answer?.code === 'clock-skew' || ahead > SKEW) {
    const what =
      ahead > 0 ? `"created" lies ${ahead} s ahead of ${whose} (${iso(reference)}).` : answer?.detail;
    return skewed(`${what}${apart(answer, now)} Set the signer's clock.`);
  }
  // An old text can't be held against the clock of now, but an answer that came at once can.
  const offset = answer?.source === 'asked' && gateway !== undefined ? gateway - now : 0;
  const isExpired = answer?.code === 'signature-expired';
  const late = reference - expires;
  if (Math.abs(offset) > (isExpired ? APART : SKEW)) {
    return skewed(
      `"expires" lies ${late > 0 ? `${late} s behind` : `${-late} s ahead of`} ${whose}.${apart(answer, now)} If the request was signed on this machine, set its clock.`,
    );
  }
  if (late <= SKEW || gateway === undefined) {
    return isExpired
      ? { cause: expired(answer.detail ?? 'The gateway says that the signature has expired.') }
      : late > 0
        ? { note: oldNote(late) }
        : {};
  }
  if (answer?.source !== 'asked') {
    // Gateway and signer spoke at the same moment, so that nothing but a clock or a queue lies between them.
    return skewed(
      `When the gateway answered (${iso(gateway)}), the signature had expired ${late} s before: the signer's clock is behind, or the message waited. Set the clock, and sign just before sending.`,
    );
  }
  return isExpired
    ? {
        cause: expired(
          `The signature expired ${late} s ago. This machine's clock agrees with the gateway's: either this was recorded so long ago (then record it again and explain it within the minute), or the signer's clock is ${late} s or more behind.`,
        ),
      }
    : { note: oldNote(late) };
}

function apart(answer: GatewayAnswer | undefined, now: number): string {
  if (answer?.source !== 'asked' || answer.now === undefined) return '';
  const offset = answer.now - now;
  if (Math.abs(offset) <= APART) return " This machine's clock agrees with the gateway's.";
  return ` This machine's clock is ${Math.abs(offset)} s ${offset > 0 ? 'behind' : 'ahead of'} the gateway's.`;
}

const oldNote = (late: number) =>
  `The signature expired ${late} s ago, as that of a recorded request does. Even mended, these very bytes can't be sent any more.`;

const skewed = (detail: string): TimeFinding => ({ cause: { code: 'clock-skewed', detail } });
const expired = (detail: string): Cause => ({ code: 'signature-expired', detail });
const iso = (seconds: number) => {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds}` : date.toISOString();
};
