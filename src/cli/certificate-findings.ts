/**
 * What `doctor` says of certificates: how long each of the gateway's chain is good, and on the issuer's box when the
 * last pass was, how many were missed since, and how far a change of root has come.
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCertificates } from '../client/certificate/certificate.ts';
import type { Config } from '../config/config.ts';
import { CountersignError } from '../errors.ts';
import { tlsFolder, trustFile } from '../gateway/tls/gateway-certificate.ts';
import { colonText } from '../issuer/fingerprint.ts';
import type { RotationUnderWay } from '../issuer/rotation.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const CHECK = 'certificate';
/** Seconds. */
const DAY = 24 * 3600;
const AGAIN = 'run countersign ca rotate again';
/** Milliseconds that a pass may take, and a timer may be late, before its moment counts as missed. */
const GRACE_MS = 5 * 60_000;
/** Runs beyond these are not counted one by one. */
const MOST_MISSED = 100;

/** @param now milliseconds since the epoch. */
export function checkCertificates({ data, tls }: Pick<Config, 'data' | 'tls'>, now: number): Finding[] {
  const file = join(tlsFolder(data), 'current.pem');
  if (!existsSync(file)) {
    if (!tls) return [];
    const trust = trustFile(data);
    if (!existsSync(trust)) {
      return [
        warning(CHECK, `There is no root in ${trust}: put the issuer's root.pem there; no start without it.`),
      ];
    }
    return [warning(CHECK, `There is none yet; a start asks for it, and waits for ${tls.outbox} to answer.`)];
  }
  try {
    const [leaf, root] = parseCertificates(readFileSync(file, 'utf8'));
    return [
      ...(leaf ? [certificateFinding('leaf', leaf, now)] : []),
      ...(root ? [certificateFinding('root', root, now)] : []),
    ];
  } catch (error) {
    return [failure(CHECK, `${file} can't be read: ${(error as Error).message}`)];
  }
}

/** Warns when a third of its life is left, and when a sixth is. */
function certificateFinding(
  name: string,
  { serialNumber, validFrom, validTo }: X509Certificate,
  now: number,
): Finding {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  const secondsLeft = Math.floor((to - now) / 1000);
  const which = `The ${name} ${serialNumber}, issued ${new Date(from).toISOString()}`;
  if (secondsLeft <= 0)
    return failure(CHECK, `${which}, ended ${-secondsLeft} s ago: nobody can connect. See to the issuer.`);
  const detail = `${which}, has ${inWords(secondsLeft)} left`;
  const share = (to - now) / (to - from);
  if (share > 1 / 3) return ok(CHECK, detail);
  const what = name === 'root' ? 'make the next root: countersign ca rotate' : 'see to the issuer';
  return warning(
    CHECK,
    `${detail}, ${share > 1 / 6 ? 'less than a third' : 'less than a sixth'} of its life; ${what}.`,
  );
}

/** Seconds where they count, days for a root. */
function inWords(seconds: number): string {
  return seconds < 3 * DAY ? `${seconds} s` : `${Math.floor(seconds / DAY)} days`;
}

/**
 * @param dir the issuer's folder.
 * @param given the schedule that passes are made on; where undefined, the one that the last pass was made on.
 * @param now milliseconds since the epoch.
 */
export async function checkIssuer(dir: string, given: string | undefined, now: number): Promise<Finding[]> {
  // Here alone, since an issuer's tools take longer to load than all of the rest.
  const { readAuthority } = await import('../issuer/authority.ts');
  const { lastPassOf } = await import('../issuer/pass.ts');
  const { rotationUnderWay } = await import('../issuer/rotation.ts');
  const { DEFAULT_SCHEDULE, Schedule } = await import('../issuer/schedule.ts');
  try {
    const root = certificateFinding('root', readAuthority(dir).certificate, now);
    const change = rotationFindings(rotationUnderWay(dir, { now: () => now }), now);
    const last = lastPassOf(dir);
    const schedule = new Schedule(given ?? last?.schedule ?? DEFAULT_SCHEDULE);
    if (last === undefined)
      return [root, ...change, warning('issuer', 'It has made no pass yet: countersign ca run')];
    const { started } = last;
    let missed = 0;
    for (
      let at = schedule.next(started * 1000);
      at !== undefined && at <= now - GRACE_MS && missed < MOST_MISSED;
      missed++
    ) {
      at = schedule.next(at);
    }
    const told = `last pass at ${new Date(started * 1000).toISOString()}`;
    const { pattern } = schedule;
    if (missed === 0) return [root, ...change, ok('issuer', `${told}, none missed of "${pattern}"`)];
    const count = missed === MOST_MISSED ? `${missed} or more` : missed;
    return [
      root,
      ...change,
      warning('issuer', `${told}, ${count} missed since of "${pattern}": is the issuer running?`),
    ];
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    return [failure('issuer', error.message)];
  }
}

/** A warning where the operator is to do something: otherwise it is left half done for good. */
function rotationFindings(rotation: RotationUnderWay | undefined, now: number): Finding[] {
  if (!rotation) return [];
  const { step, missing, endsAt = 0 } = rotation;
  const other = colonText(rotation.other);
  const check = 'rotation';
  if (step === 'switching') return [warning(check, `The switch to ${other} was cut off; ${AGAIN}.`)];
  if (step === 'switched') {
    const end = new Date(endsAt * 1000).toISOString();
    return endsAt * 1000 > now
      ? [ok(check, `switched; the last leaf of the old root ${other} ends at ${end}; ${AGAIN} then`)]
      : [
          warning(
            check,
            `The last leaf of the old root ${other} ended at ${end}; ${AGAIN}, to end that root.`,
          ),
        ];
  }
  const begun = `The next root ${other} is made`;
  if (missing.length === 0) return [warning(check, `${begun}, and acknowledged by everybody; ${AGAIN}.`)];
  return [warning(check, `${begun}, and not acknowledged yet by ${missing.join(', ')}.`)];
}
