/**
 * Files that an operator names on the command line.
 * @module
 */
import { lstatSync, realpathSync } from 'node:fs';
import { CountersignError, type ErrorCode } from '../../errors.ts';
import { readPlainFile } from '../../issuer/plain-file.ts';

/**
 * The bytes of a regular file; a link is followed, since the operator named it.
 * @param limit bytes. @param code of what is thrown where it can't be read.
 */
export function readGiven(file: string, limit: number, code: ErrorCode): Buffer {
  try {
    return readPlainFile(realpathSync(file), limit);
  } catch (error) {
    throw new CountersignError(code, `${file} can't be read: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * What is written takes the place of what lies there: of a file, and never of a device such as /dev/stdout, or a link.
 * @param code of what is thrown.
 */
export function refuseSpecial(file: string, code: ErrorCode): void {
  if (lstatSync(file, { throwIfNoEntry: false })?.isFile() === false)
    throw new CountersignError(code, `${file} is not a regular file, and would be replaced by one.`);
}
