/**
 * Commands as an operator types them, with what every one of them must keep: no secret in what it prints.
 * @module
 */
import { expect } from 'vitest';
import { countersign, type Outcome, type SpawnOptions } from '../e2e/processes.ts';

export interface Operator {
  /** Runs a command on the data folder. */
  run(args: readonly string[], options?: SpawnOptions): Promise<Outcome>;
  /** Runs it with `--json`. @returns what it printed; fails where it didn't exit with 0. */
  json<T>(args: readonly string[], options?: SpawnOptions): Promise<T>;
}

export function operator(data: string): Operator {
  const run = (args: readonly string[], { variables, ...rest }: SpawnOptions = {}) =>
    countersign(args, { ...rest, variables: { COUNTERSIGN_DATA: data, ...variables } }).ended;
  return {
    run,
    async json(args, options) {
      const outcome = await run([...args, '--json'], options);
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      return JSON.parse(outcome.stdout);
    },
  };
}

/** What a command that failed told a program. */
export function failure({ code, stderr, stdout }: Outcome): { code: string; detail: string } {
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  return JSON.parse(stderr);
}
