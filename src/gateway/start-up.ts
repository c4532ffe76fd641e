/**
 * Tasks that a program has done once, before the gateway serves its first request.
 * @module
 */
import { CountersignError } from '../errors.ts';

export interface StartUpTask {
  /** Told where the task fails: the start stops with it. */
  readonly name: string;
  /** @param signal aborted when the time is over: what still runs then is to end. */
  run(signal: AbortSignal): Promise<unknown>;
  /** Seconds that it may take; 30 where it isn't said. */
  readonly timeout?: number;
}

const TIMEOUT = 30;
const MEMBERS: readonly string[] = ['name', 'run', 'timeout'] satisfies (keyof StartUpTask)[];

/**
 * Types aren't all: a task may come from JavaScript, and a member that is misspelt would go unseen.
 * @throws config-invalid for the first task that can't be told of, can't be run, or says what nobody reads.
 */
export function checkStartUp(tasks: readonly StartUpTask[]): void {
  tasks.forEach((task: Partial<StartUpTask>, i) => {
    const fault = faultOf(task);
    if (fault === undefined) return;
    const which = isText(task.name) ? ` ("${task.name}")` : '';
    throw new CountersignError('config-invalid', `startUp[${i}]${which} ${fault}.`);
  });
}

function faultOf(task: Partial<StartUpTask>): string | undefined {
  const { name, run, timeout } = task;
  if (!isText(name)) return 'has no name: give it one, which is told where it fails';
  if (typeof run !== 'function') return 'has no function "run"';
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout > 0))
    return 'has a timeout that is no number of seconds';
  // An object of a class keeps what it likes.
  if (Object.getPrototypeOf(task) !== Object.prototype) return undefined;
  const unknown = Object.keys(task).find((member) => !MEMBERS.includes(member));
  return unknown && `has an unknown member "${unknown}"; there are ${MEMBERS.join(', ')}`;
}

function isText(name: unknown): name is string {
  return typeof name === 'string' && name.trim() !== '';
}

/**
 * Runs the tasks one after the other, in the order in which they are given.
 * @throws start-up-failed with the name of the first that fails or takes too long; those after it don't run.
 */
export async function runStartUp(tasks: readonly StartUpTask[]): Promise<void> {
  for (const task of tasks) await inTime(task);
}

async function inTime(task: StartUpTask): Promise<void> {
  const { name, timeout = TIMEOUT } = task;
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = failed(name, `it took longer than ${timeout} s`);
      reject(error);
      controller.abort(error);
    }, timeout * 1000);
  });
  try {
    await Promise.race([begin(task, controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function begin(task: StartUpTask, signal: AbortSignal): Promise<void> {
  try {
    await task.run(signal);
  } catch (error) {
    throw failed(task.name, (error as Error | undefined)?.message || String(error), error);
  }
}

function failed(name: string, why: string, cause?: unknown): CountersignError {
  return new CountersignError(
    'start-up-failed',
    `The start-up task "${name}" has failed, so nothing is served: ${why}.`,
    { cause },
  );
}
