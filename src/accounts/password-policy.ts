/**
 * Which passwords may be chosen (NIST SP 800-63B section 5.1.1.2): 8 to 256 characters, whatever is printable, no rules
 * of composition, and none that is the first that somebody would try.
 * @module
 */
import type { Fault } from '../consumers/consumer.ts';
import { prepared } from './password.ts';

const LEAST = 8;
const MOST = 256;
/** Control characters, lone surrogates, and the separators of lines and paragraphs. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;

export interface PasswordPolicy {
  /**
   * What is wrong with a new password; nothing where it is good.
   * @param path of the member that holds it.
   * @param personal what others know of the person: a password that is one of these is guessed first.
   */
  faults(path: string, password: string, personal?: readonly string[]): Fault[];
}

let loaded: Promise<PasswordPolicy> | undefined;

/** Reads the dictionaries when it is first asked for, and keeps them in memory alone (measured: 100 ms, 14 MB). */
export function passwordPolicy(): Promise<PasswordPolicy> {
  loaded ??= commonPasswords().then(policyOf);
  return loaded;
}

/** The passwords and words of the `@zxcvbn-ts` dictionaries; those that are too short anyway are left out. */
async function commonPasswords(): Promise<ReadonlySet<string>> {
  const [common, english] = await Promise.all([
    import('@zxcvbn-ts/language-common'),
    import('@zxcvbn-ts/language-en'),
  ]);
  const words = new Set<string>();
  for (const list of [...Object.values(common.dictionary), ...Object.values(english.dictionary)]) {
    for (const word of list) if (word.length >= LEAST) words.add(comparable(word));
  }
  return words;
}

function policyOf(common: ReadonlySet<string>): PasswordPolicy {
  return {
    faults(path, password, personal = []) {
      const detail = faultOf(password, personal, common);
      return detail === undefined ? [] : [{ path, detail }];
    },
  };
}

function faultOf(
  password: string,
  personal: readonly string[],
  common: ReadonlySet<string>,
): string | undefined {
  const length = [...prepared(password)].length;
  if (length < LEAST) return `it must have at least ${LEAST} characters`;
  if (length > MOST) return `it must have at most ${MOST} characters`;
  if (UNPRINTABLE.test(password)) return 'it must have no control characters';
  const word = comparable(password);
  if (common.has(word)) return 'it is one of the most common passwords or words; choose another';
  if (personal.some((each) => comparable(each) === word)) {
    return 'it must be something else than your name or address';
  }
  return undefined;
}

/** What a guess is compared by. */
function comparable(text: string): string {
  return prepared(text).trim().toLowerCase();
}
