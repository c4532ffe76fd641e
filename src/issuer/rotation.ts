/**
 * From one root to the next, without a handshake that fails. `next/` in the issuer's folder holds the root to come and
 * `previous/` the one before:
 *
 *   begin    the next root is made; the bundle has both, the old one still issues
 *   switch   every requester has acknowledged that bundle: the new root issues, the old one's leaves live on
 *   end      the last leaf of the old root has ended: the bundle has the new root alone, the old key is removed
 *
 * Each step can be cut off and taken again. There is no cross-signing: a chain has one root, and who trusts both roots
 * needs nothing else. Both have the same subject name; their key identifiers tell them apart.
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import {
  type Authority,
  createAuthority,
  openAuthority,
  type PublicAuthority,
  ROOT_FILE,
  ROOT_KEY_FILE,
  readAuthority,
} from './authority.ts';
import { replaceFile, syncFolder } from './folder.ts';
import { History } from './history.ts';
import { Ledger } from './ledger.ts';
import { Lock, lockOf } from './lock.ts';
import { MAX_LIFETIME } from './profile.ts';
import { findRequester, requesterNames } from './requesters.ts';
import { keepBundle } from './trust-bundle.ts';

export interface RotationOptions {
  /** The issuer's folder. */
  readonly dir: string;
  readonly passphrase: string;
  readonly clock: Clock;
  readonly acceptClock?: boolean | undefined;
  /** Requesters whose acknowledgement isn't waited for. */
  readonly without?: readonly string[];
  /** Seconds; of the next root. */
  readonly lifetime?: number | undefined;
}

export interface Rotation {
  /** What was done now; `waiting` where something is still awaited. */
  readonly done: 'begun' | 'switched' | 'ended' | 'waiting';
  /** SHA-256 of the DER of the root that issues from now on, in hex. */
  readonly issuing: string;
  /** The other root in the bundle, if there is one. */
  readonly other?: string;
  /** Requesters that haven't acknowledged the bundle with both roots. */
  readonly missing: readonly string[];
  /** Epoch seconds: when the last leaf of the old root ends. */
  readonly endsAt?: number;
}

/**
 * All roots that the fleet is to trust, the one that issues first. @param dir the issuer's folder.
 */
export function trustedRoots(dir: string): PublicAuthority[] {
  const others = [nextOf(dir), previousOf(dir)].filter((folder) => existsSync(folder));
  const roots = [readAuthority(dir), ...others.map((folder) => ({ ...readAuthority(folder), dir }))];
  // In the middle of a switch a root lies in two places.
  return roots.filter(
    ({ fingerprint }, i) => roots.findIndex((each) => each.fingerprint === fingerprint) === i,
  );
}

/** A change of root that has begun and not ended. */
export interface RotationUnderWay {
  /** The last step that was taken; `switching` where a switch was cut off, and is to be taken again. */
  readonly step: 'begun' | 'switching' | 'switched';
  /** SHA-256 of the DER of the root to come, or of the one before, in hex. */
  readonly other: string;
  /** As in `Rotation`; empty once it is switched. */
  readonly missing: readonly string[];
  /** Epoch seconds: when the last leaf of the old root ends. */
  readonly endsAt?: number;
}

/** What `rotate` would find, without a passphrase. @param dir the issuer's folder. @returns undefined where none is under way. */
export function rotationUnderWay(dir: string, clock: Clock): RotationUnderWay | undefined {
  const [hasNext, hasPrevious] = [existsSync(nextOf(dir)), existsSync(previousOf(dir))];
  if (!hasNext && !hasPrevious) return undefined;
  const other = readAuthority(hasNext ? nextOf(dir) : previousOf(dir)).fingerprint;
  if (hasNext && hasPrevious) return { step: 'switching', other, missing: [] };
  if (hasNext) return { step: 'begun', other, missing: missing({ dir, clock }) };
  return { step: 'switched', other, missing: [], endsAt: lastEndOf(dir) };
}

/**
 * Takes the step that can be taken: begins where no rotation is under way, or goes on with the one that is.
 * `issuer-busy`, `clock-untrusted`, `ledger-broken`, `passphrase-invalid`, `authority-invalid`; `requester-unknown` for
 * a name in `without` that nobody is enrolled by.
 */
export async function rotate(options: RotationOptions): Promise<Rotation> {
  const lock = await Lock.acquire(lockOf(options.dir));
  try {
    const ledger = new Ledger(options.dir);
    ledger.checkClock(options.clock, options.acceptClock);
    refuseStrangers(options);
    return await takeStep(options, ledger);
  } finally {
    lock.release();
  }
}

/** A name that was mistyped would leave out nobody, and let the operator believe that it had. */
function refuseStrangers({ dir, without = [] }: RotationOptions): void {
  const enrolled = requesterNames(dir);
  const strangers = without.filter((name) => !enrolled.includes(name));
  if (strangers.length === 0) return;
  const known = enrolled.length === 0 ? 'nobody is' : `enrolled are ${enrolled.join(', ')}`;
  throw new CountersignError(
    'requester-unknown',
    `Nobody is enrolled as ${strangers.join(', ')}, so there is nobody to go on without: ${known}.`,
  );
}

async function takeStep(options: RotationOptions, ledger: Ledger): Promise<Rotation> {
  const { dir, passphrase } = options;
  const hasNext = existsSync(nextOf(dir));
  // Cut off between its two files, the folder's own root and key don't fit each other.
  if (hasNext && existsSync(previousOf(dir))) return finishSwitch(options, ledger);
  const current = openAuthority(dir, passphrase);
  if (existsSync(previousOf(dir))) return end(options, ledger, current);
  if (hasNext) return attemptSwitch(options, ledger);
  return begin(options, ledger, current);
}

async function begin(options: RotationOptions, ledger: Ledger, current: Authority): Promise<Rotation> {
  const { dir, passphrase, clock, lifetime } = options;
  const draft = `${nextOf(dir)}.draft`;
  rmSync(draft, { recursive: true, force: true });
  const made = await createAuthority({
    dir: draft,
    name: commonNameOf(current.certificate),
    constraints: current.constraints,
    passphrase,
    clock,
    ...(lifetime !== undefined && { lifetime }),
  });
  // Its own profile and ledger are those of a whole issuer; this is but a root.
  keepOnlyRoot(draft);
  renameSync(draft, nextOf(dir));
  syncFolder(dir);
  ledger.append({ event: 'rotate', step: 'begun', root: made.fingerprint }, options.clock);
  announce(options, ledger, [current]);
  return { done: 'begun', issuing: current.fingerprint, other: made.fingerprint, missing: missing(options) };
}

function attemptSwitch(options: RotationOptions, ledger: Ledger): Rotation {
  const { dir, passphrase } = options;
  const current = openAuthority(dir, passphrase);
  // Where the beginning was cut off before its bundle.
  announce(options, ledger, [current]);
  const late = missing(options);
  const next = openAuthority(nextOf(dir), passphrase);
  if (late.length > 0) {
    return { done: 'waiting', issuing: current.fingerprint, other: next.fingerprint, missing: late };
  }
  const draft = `${previousOf(dir)}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  copyRoot(dir, draft);
  renameSync(draft, previousOf(dir));
  syncFolder(dir);
  return finishSwitch(options, ledger);
}

function finishSwitch(options: RotationOptions, ledger: Ledger): Rotation {
  const { dir, passphrase, clock } = options;
  const previous = openAuthority(previousOf(dir), passphrase);
  copyRoot(nextOf(dir), dir);
  const current = openAuthority(dir, passphrase);
  ledger.append({ event: 'rotate', step: 'switched', root: current.fingerprint }, clock);
  rmSync(nextOf(dir), { recursive: true });
  syncFolder(dir);
  // Who has missed the bundle with both, and trusts the old one alone, can take this one over.
  announce(options, ledger, [current, previous]);
  const endsAt = lastEndOf(dir);
  return {
    done: 'switched',
    issuing: current.fingerprint,
    other: previous.fingerprint,
    missing: [],
    endsAt,
  };
}

function end(options: RotationOptions, ledger: Ledger, current: Authority): Rotation {
  const { dir, passphrase, clock } = options;
  const previous = openAuthority(previousOf(dir), passphrase);
  const endsAt = lastEndOf(dir);
  if (epochSeconds(clock) < endsAt) {
    const { fingerprint: other } = previous;
    return { done: 'waiting', issuing: current.fingerprint, other, missing: [], endsAt };
  }
  const newest = new History(ledger.rows()).bundle;
  keepBundle(ledger, newest, [current], [current, previous], clock);
  ledger.append({ event: 'rotate', step: 'ended', root: previous.fingerprint }, clock);
  rmSync(previousOf(dir), { recursive: true });
  syncFolder(dir);
  return { done: 'ended', issuing: current.fingerprint, missing: [] };
}

function announce({ dir, clock }: RotationOptions, ledger: Ledger, signers: readonly Authority[]): void {
  keepBundle(ledger, new History(ledger.rows()).bundle, trustedRoots(dir), signers, clock);
}

/** Whoever may ask for certificates, and hasn't acknowledged a bundle with the next root in it. */
function missing({ dir, clock, without = [] }: Pick<RotationOptions, 'dir' | 'clock' | 'without'>): string[] {
  const history = new History(new Ledger(dir).rows());
  const { fingerprint } = readAuthority(nextOf(dir));
  return requesterNames(dir).filter((name) => {
    const { lapses, fingerprint: key } = findRequester(dir, name);
    if (without.includes(name) || lapses <= epochSeconds(clock)) return false;
    return history.acknowledgedBy(key)?.roots.includes(fingerprint) !== true;
  });
}

/** When the last leaf that the old root may have signed ends, in epoch seconds. */
function lastEndOf(dir: string): number {
  const rows = [...new Ledger(dir).rows()];
  const switched = rows.findLast(({ event, step }) => event === 'rotate' && step === 'switched');
  // Not from the leaves in the ledger: one that it doesn't know lives no longer than this either.
  return (switched?.at ?? 0) + MAX_LIFETIME;
}

/** Key first: what is cut off in between can't be opened, and nothing is issued with the wrong key. */
function copyRoot(from: string, to: string): void {
  replaceFile(join(to, ROOT_KEY_FILE), readFileSync(join(from, ROOT_KEY_FILE)), 0o600);
  replaceFile(join(to, ROOT_FILE), readFileSync(join(from, ROOT_FILE)), 0o644);
}

function keepOnlyRoot(folder: string): void {
  for (const file of ['profile.yaml', Ledger.file]) rmSync(join(folder, file), { force: true });
}

function commonNameOf({ subject }: X509Certificate): string {
  const [, name] = /^CN=([^\n]+)$/.exec(subject) ?? [];
  if (name !== undefined) return name;
  throw new CountersignError('authority-invalid', 'The root has a subject that ca init never makes.');
}

function nextOf(dir: string): string {
  return join(dir, 'next');
}

function previousOf(dir: string): string {
  return join(dir, 'previous');
}
