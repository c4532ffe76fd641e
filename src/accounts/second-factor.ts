/**
 * The second factor: time-based codes (RFC 6238: 6 digits, steps of 30 seconds, SHA-1, which is what apps know), and
 * recovery codes for the day on which the telephone is gone.
 *
 * The code of the step that runs, or of the one before it, is good, and each once: `useStep` of the port decides that
 * in the unit of work of what the code opens. A factor that replaces another lies beside it until its first code
 * comes, so that nobody who stops half-way is left without one.
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';
import { generateSecret, generateURI, verifySync } from 'otplib';
import { renderSVG } from 'uqr';
import type { KeyVault } from '../consumers/key-vault.ts';
import { CountersignError } from '../errors.ts';
import { grants, OPERATOR } from '../security/roles.ts';
import type { Account, AccountChanges, AccountReader, SecondFactor } from './account.ts';

/** Seconds. */
export const STEP = 30;
const ISSUER = 'Countersign';
const CODE = /^\d{6}$/;
/** 160 bits (RFC 4226 section 4, R6). */
const SECRET_BYTES = 20;
const RECOVERY_CODES = 10;
/** 80 bits each, so that a plain hash of one can't be searched through. */
const RECOVERY_BYTES = 10;
/** RFC 4648 section 6, in lower case. */
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** What is shown to the person, once. */
export interface Enrolment {
  /** `otpauth://totp/…`, which apps read. */
  readonly uri: string;
  /** The same as a QR code. */
  readonly svg: string;
  /** Each stands in for a code once. */
  readonly recoveryCodes: readonly string[];
}

export interface DrawnEnrolment extends Enrolment {
  /** Base32. */
  readonly secret: string;
}

/** What is sealed for an account. */
export interface SealedFactor {
  /** Base32. */
  readonly secret: string;
  /** Whoever runs the gateway handed it over: codes are demanded at once, and the first confirms it. */
  readonly handed?: true;
  /** Takes the place of `secret` with its first code. Hashes in hexadecimal. */
  readonly next?: { readonly secret: string; readonly recoveryHashes: readonly string[] };
}

/** A factor as a login judges it. */
export interface OpenFactor {
  readonly secret: string;
  /** Whether its first code has come. Codes are demanded from then on. */
  readonly confirmed: boolean;
  /** Whether they are demanded from the start, and a login may bring the first one. */
  readonly handed: boolean;
  readonly lastStep: number;
}

/** In base32. */
export function drawSecret(): string {
  return generateSecret({ length: SECRET_BYTES });
}

/** Draws a secret and recovery codes. @param label what the app shows beside the gateway's name. */
export function drawEnrolment(label: string): DrawnEnrolment {
  const secret = drawSecret();
  const uri = generateURI({ issuer: ISSUER, label, secret });
  const recoveryCodes = Array.from({ length: RECOVERY_CODES }, drawRecoveryCode);
  return { secret, uri, svg: renderSVG(uri, { ecc: 'M', border: 4 }), recoveryCodes };
}

/**
 * The step that a code belongs to: the running one or the one before it; undefined for any other code. Whether it was
 * used is not looked at. Digits are compared in constant time.
 */
export function stepOfCode(secret: string, code: string, now: number): number | undefined {
  if (!CODE.test(code)) return undefined;
  const found = verifySync({ secret, token: code, epoch: now, period: STEP, epochTolerance: [STEP, 0] });
  return found.valid && 'timeStep' in found ? found.timeStep : undefined;
}

/** The hash that a recovery code is kept as. Case, spaces and hyphens don't matter. */
export function recoveryHash(account: string, code: string): Buffer {
  const bare = code.toLowerCase().replace(/[\s-]/g, '');
  return createHash('sha256').update(`${account} ${bare}`).digest();
}

export function openFactor(
  vault: Pick<KeyVault, 'open'>,
  { account, sealedSecret, confirmedAt, lastStep }: SecondFactor,
): OpenFactor {
  const { secret, handed = false } = unseal(vault, account, sealedSecret);
  return { secret, confirmed: confirmedAt !== undefined, handed, lastStep };
}

/**
 * Puts an enrolment in its place, to be confirmed by its first code. What was confirmed before stays good until then.
 * @param handed by whoever runs the gateway, who knows the person: it takes the place of what was there at once, codes
 *   are demanded at once, and a login may bring the first. Anybody else's is confirmed with a token or session that the
 *   password alone has opened, and must not open more than that.
 */
export async function enrol(
  tx: AccountReader & AccountChanges,
  vault: Pick<KeyVault, 'open' | 'seal'>,
  account: string,
  { secret, recoveryCodes }: DrawnEnrolment,
  handed = false,
): Promise<void> {
  const hashes = recoveryCodes.map((code) => recoveryHash(account, code));
  const known = await tx.secondFactor(account);
  if (known?.confirmedAt !== undefined && !handed) {
    const sealed = unseal(vault, account, known.sealedSecret);
    const next = { secret, recoveryHashes: hashes.map((hash) => hash.toString('hex')) };
    const sealedSecret = sealFactor(vault, account, { ...sealed, next });
    await tx.putSecondFactor({ ...known, sealedSecret });
    return;
  }
  await tx.putSecondFactor({
    account,
    sealedSecret: sealFactor(vault, account, { secret, ...(handed && { handed }) }),
    lastStep: 0,
  });
  await tx.putRecoveryCodes(account, hashes);
}

/**
 * Confirms what awaits its first code, and uses the code up.
 * @throws conflict where nothing does; validation-failed for a wrong code.
 */
export async function confirmEnrolment(
  tx: AccountReader & AccountChanges,
  vault: Pick<KeyVault, 'open' | 'seal'>,
  account: string,
  code: string,
  now: number,
): Promise<void> {
  const known = await tx.secondFactor(account);
  const sealed = known && unseal(vault, account, known.sealedSecret);
  if (!known || !sealed || (known.confirmedAt !== undefined && !sealed.next)) {
    throw new CountersignError(
      'conflict',
      'No second factor awaits its first code; enrol one with POST /v1/account/totp.',
    );
  }
  const { next } = known.confirmedAt === undefined ? { next: undefined } : sealed;
  const step = stepOfCode(next?.secret ?? sealed.secret, code, now);
  if (step === undefined) throw wrongCode();
  if (!next) {
    if (!(await tx.confirmSecondFactor(account, now, step))) throw wrongCode();
    return;
  }
  await tx.putSecondFactor({
    account,
    sealedSecret: sealFactor(vault, account, { secret: next.secret }),
    confirmedAt: now,
    lastStep: step,
  });
  await tx.putRecoveryCodes(
    account,
    next.recoveryHashes.map((hash) => Buffer.from(hash, 'hex')),
  );
}

/** Roles that a password alone must not open: `operator` and all below it. */
export function requiresSecondFactor({ roles }: Pick<Account, 'roles'>): boolean {
  return roles.some((role) => grants(OPERATOR, role));
}

function wrongCode(): CountersignError {
  const detail = 'it is not the code that the new second factor shows now; check the clock of the device';
  return new CountersignError('validation-failed', `The input is not allowed: totp: ${detail}.`, {
    members: { errors: [{ path: 'totp', detail }] },
  });
}

function drawRecoveryCode(): string {
  const bits = [...randomBytes(RECOVERY_BYTES)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = bits.replace(/.{5}/g, (five) => BASE32[Number.parseInt(five, 2)] as string);
  return letters.replace(/(.{4})(?=.)/g, '$1-');
}

/** What an account's row holds of its factor. */
export function sealFactor(vault: Pick<KeyVault, 'seal'>, account: string, factor: SealedFactor): Buffer {
  return vault.seal('totp', account, Buffer.from(JSON.stringify(factor)));
}

function unseal(vault: Pick<KeyVault, 'open'>, account: string, sealed: Buffer): SealedFactor {
  return JSON.parse(vault.open('totp', account, sealed).toString()) as SealedFactor;
}
