/**
 * The `COUNTERSIGN_…` variables. An empty one counts as unset, as container tools write it; the master key is the
 * exception, since an operator who sets it must not get another one in silence.
 * @module
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CountersignError } from '../errors.ts';
import { closest, type Faults } from './faults.ts';
import { type Origin, readOrigin } from './origins.ts';

export type Variables = Readonly<Record<string, string | undefined>>;

const KNOWN = [
  'COUNTERSIGN_HOST',
  'COUNTERSIGN_PORT',
  'COUNTERSIGN_ADMIN_PORT',
  'COUNTERSIGN_DATA',
  'COUNTERSIGN_CONFIG',
  'COUNTERSIGN_PUBLIC_ORIGINS',
  'COUNTERSIGN_MASTER_KEY',
  'COUNTERSIGN_MASTER_KEY_FILE',
  'COUNTERSIGN_CREDENTIALS',
  'COUNTERSIGN_SMTP_PASSWORD',
  'COUNTERSIGN_SMTP_PASSWORD_FILE',
];

export class Environment {
  private readonly variables: Variables;
  private readonly faults: Faults;

  constructor(variables: Variables, faults: Faults) {
    this.variables = variables;
    this.faults = faults;
    for (const name of Object.keys(variables)) {
      // Others may add variables of their own (Kubernetes does), so only what looks like a slip is one.
      if (!name.startsWith('COUNTERSIGN_') || KNOWN.includes(name)) continue;
      const meant = closest(name, KNOWN);
      if (meant) faults.add(name, `is not a variable of Countersign; did you mean ${meant}?`);
    }
  }

  /** What `read` makes of a variable; undefined where it is unset, empty or faulty. */
  variable<T>(name: string, read: (text: string) => T): T | undefined {
    const value = this.variables[name];
    if (value === undefined || value === '') return undefined;
    try {
      return read(value);
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      this.faults.add(name, error.message);
      return undefined;
    }
  }

  has(name: string): boolean {
    return Boolean(this.variables[name]);
  }

  /**
   * The master key as it stands, its form checked. Its value is never repeated in a fault.
   * @param cwd what a relative path of its file starts from.
   */
  masterKey(cwd = process.cwd()): string | undefined {
    const key = this.variables.COUNTERSIGN_MASTER_KEY;
    const file = this.variable('COUNTERSIGN_MASTER_KEY_FILE', readPath);
    if (file === undefined) {
      return key === undefined ? undefined : this.wellFormed('COUNTERSIGN_MASTER_KEY', key);
    }
    if (key !== undefined) {
      this.faults.add(
        'COUNTERSIGN_MASTER_KEY_FILE',
        'stands beside COUNTERSIGN_MASTER_KEY; unset one of them',
      );
      return undefined;
    }
    try {
      return this.wellFormed('COUNTERSIGN_MASTER_KEY_FILE', readFileSync(resolve(cwd, file), 'utf8').trim());
    } catch (error) {
      const { code = 'not readable' } = error as NodeJS.ErrnoException;
      this.faults.add('COUNTERSIGN_MASTER_KEY_FILE', `can't be read: ${file} (${code})`);
      return undefined;
    }
  }

  /** Of the mail server. Its value is never repeated in a fault. @param cwd what a relative path starts from. */
  smtpPassword(cwd = process.cwd()): string | undefined {
    const password = this.variables.COUNTERSIGN_SMTP_PASSWORD || undefined;
    const file = this.variable('COUNTERSIGN_SMTP_PASSWORD_FILE', readPath);
    if (file === undefined) return password;
    if (password !== undefined) {
      this.faults.add(
        'COUNTERSIGN_SMTP_PASSWORD_FILE',
        'stands beside COUNTERSIGN_SMTP_PASSWORD; unset one of them',
      );
      return undefined;
    }
    try {
      return readFileSync(resolve(cwd, file), 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      const { code = 'not readable' } = error as NodeJS.ErrnoException;
      this.faults.add('COUNTERSIGN_SMTP_PASSWORD_FILE', `can't be read: ${file} (${code})`);
      return undefined;
    }
  }

  private wellFormed(variable: string, key: string): string | undefined {
    const bytes = Buffer.from(key, 'base64');
    if (bytes.length === 32 && bytes.toString('base64') === key) return key;
    const found = key === '' ? 'is empty' : 'is something else';
    this.faults.add(
      variable,
      `must be 32 bytes in base64, and ${found}; make one with "openssl rand -base64 32", or unset it`,
    );
    return undefined;
  }
}

export function readOrigins(text: string): Origin[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '').map(readOrigin);
}

/** The path of a file or a folder. */
export function readPath(text: string): string {
  if (text !== '' && !text.includes('\0')) return text;
  throw new CountersignError('config-invalid', 'must be a path');
}
