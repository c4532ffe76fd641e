/**
 * What a function throws on purpose, for a test to compare.
 * @module
 */
import { CountersignError, type ErrorCode } from '../../src/errors.ts';

/** @returns the code and the detail; fails where nothing, or something else, is thrown. */
export async function refusal(work: () => unknown): Promise<{ code: ErrorCode; detail: string }> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CountersignError) return { code: error.code, detail: error.message };
    throw error;
  }
  throw new Error('it was not refused');
}
