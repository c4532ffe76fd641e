/**
 * Passwords as they are kept: argon2id (RFC 9106) with the parameters that OWASP asks for, computed off the main
 * thread. Few hashes are computed at once, since each takes 19 MiB and a core; the others wait, and when too many wait
 * the next is told so. Nothing here runs inside a unit of work.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { hash, parseOptions, verify } from '@node-rs/argon2';
import { CountersignError } from '../errors.ts';
import { Turns } from './turns.ts';

/** OWASP, Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane. The package's default is argon2id, version 19. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const;
const SALT_BYTES = 16;

export interface PasswordsOptions {
  /** Hashes computed at once: they take threads of the pool that the file system uses too. */
  readonly atOnce?: number;
  /** Hashes that may wait for their turn. */
  readonly mostWaiting?: number;
  /** Told at each verification: of two kinds of failed logins none may do more than the other. */
  readonly onVerify?: () => void;
}

export class Passwords {
  /**
   * A hash of no password, that takes as long to verify as any. Both its salt and its digest are random, so that
   * nobody knows a password that it would accept.
   */
  readonly decoy: string;
  private readonly turns: Turns;
  private readonly onVerify: () => void;

  constructor({ atOnce = 2, mostWaiting = 64, onVerify = () => {} }: PasswordsOptions = {}) {
    this.turns = new Turns(atOnce, { most: mostWaiting, refuse: overloaded });
    this.onVerify = onVerify;
    const { memoryCost, timeCost, parallelism, outputLen } = PARAMETERS;
    this.decoy = `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${unpadded(SALT_BYTES)}$${unpadded(outputLen)}`;
  }

  /** @returns a string in the PHC format, with a salt of its own. @throws overloaded */
  hash(password: string): Promise<string> {
    return this.turns.run(() => hash(prepared(password), PARAMETERS));
  }

  /** @param hash from `hash()`. @throws overloaded */
  verify(hash: string, password: string): Promise<boolean> {
    return this.turns.run(() => {
      this.onVerify();
      return verify(hash, prepared(password));
    });
  }

  /** Whether a hash was made with other parameters than new ones are. */
  isOutdated(hash: string): boolean {
    const { memoryCost, timeCost, parallelism, outputLen } = parseOptions(hash);
    const now = PARAMETERS;
    return (
      !hash.startsWith('$argon2id$v=19$') ||
      memoryCost !== now.memoryCost ||
      timeCost !== now.timeCost ||
      parallelism !== now.parallelism ||
      outputLen !== now.outputLen
    );
  }
}

/**
 * The password as it is compared (RFC 8265 section 4.2, OpaqueString): one keyboard sends "é" as one character, another
 * as two, and a space may be another space.
 */
export function prepared(password: string): string {
  return password.replace(/\p{Zs}/gu, ' ').normalize('NFC');
}

function unpadded(bytes: number): string {
  return randomBytes(bytes).toString('base64').replace(/=+$/, '');
}

function overloaded(): CountersignError {
  const headers = { 'Retry-After': '1' };
  return new CountersignError('overloaded', 'Too many passwords are looked at in this moment; try again.', {
    headers,
  });
}
