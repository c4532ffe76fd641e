/**
 * Who may ask for certificates: one file a requester, `requesters/NAME.json`, with the public half of its Ed25519
 * request key and the moment when the operator approved it. An approval lapses after 30 days, and enrolling again
 * renews it. No secret lies here: who reads the folder can ask for nothing.
 *
 * A name has one request key. Another one in its place is a takeover as long as the first is approved, so the operator
 * must say that it is meant.
 * @module
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { colonText } from './fingerprint.ts';
import { replaceFile } from './folder.ts';
import type { History } from './history.ts';
import { Ledger } from './ledger.ts';
import { Lock, lockOf } from './lock.ts';
import { ensureFolder, readPlainFile } from './plain-file.ts';
import { REQUESTER } from './profile.ts';

/** Seconds for which an approval holds. */
export const APPROVAL_SECONDS = 30 * 24 * 3600;

/** Milliseconds: a pass may be under way. */
const ENROL_WAIT_MS = 60_000;

export interface Requester {
  readonly name: string;
  /** Ed25519. */
  readonly key: KeyObject;
  /** SHA-256 of the key's SPKI, in hex. */
  readonly fingerprint: string;
  /** Epoch seconds. */
  readonly approved: number;
  /** Epoch seconds: from then on nothing is issued to it. */
  readonly lapses: number;
}

export interface EnrolOptions {
  /** The issuer's folder. */
  readonly folder: string;
  readonly name: string;
  /** PEM. */
  readonly publicKey: string;
  /** Puts it in the place of a key whose approval still holds. */
  readonly replace: boolean;
  readonly clock: Clock;
  /** As for a pass. */
  readonly acceptClock?: boolean | undefined;
}

export interface Enrolment {
  readonly requester: Requester;
  /** What was done: the first approval of this name, one more of the same key, or of another key. */
  readonly change: 'enrolled' | 'renewed' | 'replaced';
}

const schema = z.strictObject({
  name: z.string().regex(REQUESTER),
  key: z.string(),
  approved: z.int().nonnegative(),
});

/**
 * Records a requester, or renews its approval, in the ledger too.
 * `requester-unknown` for a name that can't be one, a key that isn't the public half of an Ed25519 key, and another key
 * beside one whose approval holds; `issuer-busy`, `clock-untrusted`, `ledger-broken`.
 */
export async function enrol(options: EnrolOptions): Promise<Enrolment> {
  const lock = await Lock.acquire(lockOf(options.folder), ENROL_WAIT_MS);
  try {
    return record(options);
  } finally {
    lock.release();
  }
}

function record({ folder, name, publicKey, replace, clock, acceptClock }: EnrolOptions): Enrolment {
  if (!REQUESTER.test(name)) {
    throw unfit(`"${name}" can't name a requester: write lower-case letters, digits and hyphens.`);
  }
  const key = readRequestKey(publicKey);
  const now = epochSeconds(clock);
  const known = existsSync(fileOf(folder, name)) ? findRequester(folder, name) : undefined;
  const isOther = known !== undefined && known.fingerprint !== fingerprintOf(key);
  if (isOther && now < known.lapses && !replace) {
    throw unfit(
      `${name} has another request key (${colonText(known.fingerprint)}), approved until ${iso(known.lapses)}. A second one for the same name may be somebody else's: ask, and if it is meant, add --replace.`,
    );
  }
  const change = isOther ? 'replaced' : known ? 'renewed' : 'enrolled';
  const ledger = new Ledger(folder);
  ledger.checkClock(clock, acceptClock);
  // First, so that nobody is approved of whom the ledger doesn't know.
  ledger.append({ event: 'enrol', requester: name, requestKey: fingerprintOf(key), change }, clock);
  ensureFolder(requestersFolder(folder), 0o700);
  const content = { name, key: key.export({ type: 'spki', format: 'pem' }), approved: now };
  replaceFile(fileOf(folder, name), `${JSON.stringify(content, null, 2)}\n`, 0o600);
  return { requester: findRequester(folder, name), change };
}

/** `requester-unknown` where there is none of that name; `authority-invalid` where its file is damaged. */
export function findRequester(folder: string, name: string): Requester {
  const file = fileOf(folder, name);
  if (!REQUESTER.test(name) || !existsSync(file)) {
    throw new CountersignError(
      'requester-unknown',
      `No requester "${name}" is enrolled; on the issuer's box: countersign ca enrol ${REQUESTER.test(name) ? name : 'NAME'} --key PUB.pem`,
    );
  }
  try {
    const record = schema.parse(JSON.parse(readPlainFile(file).toString('utf8')));
    if (record.name !== name) throw new Error(`it names "${record.name}"`);
    const key = readRequestKey(record.key);
    const lapses = record.approved + APPROVAL_SECONDS;
    return { name, key, fingerprint: fingerprintOf(key), approved: record.approved, lapses };
  } catch (error) {
    throw new CountersignError(
      'authority-invalid',
      `${file} is damaged (${(error as Error).message}); remove it and enrol ${name} again.`,
      { cause: error },
    );
  }
}

/** The same, and `authority-invalid` where the ledger doesn't know of the approval. */
export function findApproved(folder: string, name: string, history: History): Requester {
  const requester = findRequester(folder, name);
  if (history.hasApproved(requester)) return requester;
  throw new CountersignError(
    'authority-invalid',
    `${fileOf(folder, name)} was not written by ca enrol: the ledger knows of no such approval. Find out who put it there, and enrol ${name} again.`,
  );
}

/** The names of all that are enrolled, those whose approval has lapsed too. */
export function requesterNames(folder: string): string[] {
  if (!existsSync(requestersFolder(folder))) return [];
  return readdirSync(requestersFolder(folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .filter((name) => REQUESTER.test(name))
    .sort();
}

/** `requester-unknown` where the approval has lapsed. A clock before it is refused by the row that the ledger has of it. */
export function refuseLapsed({ name, lapses }: Requester, clock: Clock): void {
  if (epochSeconds(clock) < lapses) return;
  throw unfit(
    `The approval of ${name} lapsed at ${iso(lapses)}; if it still stands, run again: countersign ca enrol ${name} --key PUB.pem`,
  );
}

function readRequestKey(pem: string): KeyObject {
  // createPublicKey() takes a private key too, and would hide that one has been carried about.
  if (/PRIVATE KEY/.test(pem)) {
    throw unfit(
      'That is a private key, which must never leave the requester: make a new one there, and bring its public half.',
    );
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (error) {
    throw new CountersignError('requester-unknown', 'That file holds no public key in PEM.', {
      cause: error,
    });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw unfit(`A request key is an Ed25519 key; this one is ${key.asymmetricKeyType}.`);
  }
  return key;
}

/** SHA-256 of the SPKI in hex: `openssl pkey -pubin -in PUB.pem -outform DER | sha256sum` shows the same. */
function fingerprintOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function requestersFolder(folder: string): string {
  return join(folder, 'requesters');
}

function fileOf(folder: string, name: string): string {
  return join(requestersFolder(folder), `${name}.json`);
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

function unfit(detail: string): CountersignError {
  return new CountersignError('requester-unknown', detail);
}
