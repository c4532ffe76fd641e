/**
 * `profile.yaml` in the issuer's folder: which requester may have which names, for which use, for how long.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { CountersignError } from '../errors.ts';
import { readIssuerFile } from './folder.ts';
import { type CertificateUse, certificateUses, countOf, type Names, readNames, refused } from './names.ts';

/** The longest life of a leaf, in seconds. */
export const MAX_LIFETIME = 12 * 3600;

export const PROFILE_FILE = 'profile.yaml';

/** What one requester may have: exactly these names, or some of them. */
export interface ProfileEntry extends Names {
  readonly use: CertificateUse;
  /** Seconds, 12 hours at most. */
  readonly lifetime: number;
}

export interface Profile {
  readonly requesters: ReadonlyMap<string, ProfileEntry>;
}

/** The name of a requester: it is the name of a file too. */
export const REQUESTER = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

const lifetime = z.string().transform((text, context) => {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([smh])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit] ?? Number.NaN);
  if (seconds > 0 && seconds <= MAX_LIFETIME) return seconds;
  context.addIssue({ code: 'custom', message: 'must be like 12h or 90m, and 12h at most' });
  return z.NEVER;
});

const entry = z
  .strictObject({
    use: z.enum(certificateUses as [CertificateUse, ...CertificateUse[]]),
    dns: z.array(z.string()).default([]),
    ip: z.array(z.string()).default([]),
    uri: z.array(z.string()).default([]),
    lifetime: lifetime.default(MAX_LIFETIME),
  })
  .transform(({ use, lifetime, ...given }, context): ProfileEntry => {
    try {
      const names = readNames(given);
      if (countOf(names) > 0) return { use, lifetime, ...names };
      context.addIssue({ code: 'custom', message: 'names nothing: give dns, ip or uri' });
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
    }
    return z.NEVER;
  });

const requesters = z.record(z.string(), entry).superRefine((entries, context) => {
  for (const name of Object.keys(entries)) {
    if (REQUESTER.test(name)) continue;
    const message = 'must be named by lower-case letters, digits, dots, hyphens and underscores';
    context.addIssue({ code: 'custom', message, path: [name] });
  }
});

const schema = z.strictObject({ requesters: requesters.nullable() });

/** What `ca init` puts into a folder: the policy of this package, which grants nothing. */
export function blankProfile(): string {
  return readFileSync(new URL('../../certs/profile.yaml', import.meta.url), 'utf8');
}

/** @param dir the issuer's folder. `profile-invalid` with every fault and its line. */
export function readProfile(dir: string): Profile {
  const file = join(dir, PROFILE_FILE);
  return parseProfile(readIssuerFile(file), file);
}

/** @param file what people call the text. `profile-invalid`. */
export function parseProfile(text: string, file: string): Profile {
  const lines = new LineCounter();
  // As they read later: 1 and "1" would be one requester.
  const uniqueKeys = (a: unknown, b: unknown) => String(a) === String(b);
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys, version: '1.2' });
  const faults = document.errors.map(({ message }) => message.split('\n')[0] ?? message);
  if (faults.length > 0) throw invalid(file, faults);
  const read = schema.safeParse(plainValues(document, file));
  if (read.success) return { requesters: new Map(Object.entries(read.data.requesters ?? {})) };
  const found = read.error.issues.map(({ path, message }) => {
    const node: unknown = document.getIn(path as (string | number)[], true);
    const start = (node as { range?: readonly number[] } | undefined)?.range?.[0];
    const line = start === undefined ? '' : `line ${lines.linePos(start).line}: `;
    return `${line}${path.join('.') || 'the file'}: ${message}`;
  });
  throw invalid(file, found);
}

function plainValues(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch {
    throw invalid(file, ['it has aliases: write the values out']);
  }
}

/** `certificate-request-refused` for the first name, or the use, that the entry doesn't grant. */
export function checkProfile(
  { names, use }: { readonly names: Names; readonly use: CertificateUse },
  granted: ProfileEntry,
): void {
  if (granted.use !== 'both' && granted.use !== use)
    throw refused(`The profile grants the use ${granted.use}, not ${use}.`);
  for (const kind of ['dns', 'ip', 'uri'] as const) {
    const strange = names[kind].find((name) => !granted[kind].includes(name));
    if (strange !== undefined) throw refused(`The profile doesn't grant the name ${strange}.`);
  }
}

function invalid(file: string, faults: readonly string[]): CountersignError {
  return new CountersignError('profile-invalid', `${file} can't be used:\n  ${faults.join('\n  ')}`, {
    members: { faults },
  });
}
