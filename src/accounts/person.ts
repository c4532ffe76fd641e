/**
 * What may be said of a person. Names are text in any script, stored and returned as they are: SQL and HTML in them
 * mean nothing to anybody here.
 * @module
 */
import { z } from 'zod';
import type { Fault } from '../consumers/consumer.ts';
import type { PasswordPolicy } from './password-policy.ts';

const MOST_NAME = 100;
/** RFC 5321 section 4.5.3.1: the path is 256 with its brackets, the local part 64. */
const MOST_EMAIL = 254;
const MOST_LOCAL_PART = 64;

/**
 * Control characters, lone surrogates, separators of lines, and what turns the direction of the text that follows. The
 * joiners that scripts need are allowed.
 */
const NO_NAME = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

/** ASCII alone: letters that look like others, or become others in lower case, name no second mailbox here. */
const EMAIL = z.email();

export interface PersonDraft {
  readonly firstName: string;
  readonly lastName: string;
  readonly email: string;
  readonly password: string;
}

/** What others know of a person: a password that is one of these is guessed first. */
export function wordsOf({ firstName = '', lastName = '', email = '' }: Partial<PersonDraft>): string[] {
  const names = [firstName, lastName, `${firstName}${lastName}`, `${firstName} ${lastName}`];
  return [email, email.split('@', 1)[0] as string, ...names];
}

/** Every fault of those parts that are there. */
export function personFaults(draft: Partial<PersonDraft>, policy: PasswordPolicy): Fault[] {
  const { firstName, lastName, email, password } = draft;
  return [
    ...(firstName === undefined ? [] : nameFaults('firstName', firstName)),
    ...(lastName === undefined ? [] : nameFaults('lastName', lastName)),
    ...(email === undefined ? [] : emailFaults(email)),
    ...(password === undefined ? [] : policy.faults('password', password, wordsOf(draft))),
  ];
}

export function nameFaults(path: string, name: string): Fault[] {
  const fault = (detail: string): Fault[] => [{ path, detail }];
  // Cheap first: what is far too long isn't taken apart.
  if (name.length > 4 * MOST_NAME || [...name].length > MOST_NAME) {
    return fault(`it must have at most ${MOST_NAME} characters`);
  }
  if (NO_NAME.test(name)) return fault('it must have no control characters');
  if (name.trim() === '') return fault('it must not be empty');
  return [];
}

export function emailFaults(email: string): Fault[] {
  if (isEmailAddress(email)) return [];
  return [{ path: 'email', detail: 'it must be an e-mail address, such as ada@example.com' }];
}

export function isEmailAddress(text: string): boolean {
  return text.length <= MOST_EMAIL && text.indexOf('@') <= MOST_LOCAL_PART && EMAIL.safeParse(text).success;
}
