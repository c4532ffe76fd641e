/** A gateway in a process of its own, as a test sees it: its port, what it delivered, and its end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Target } from '../wire.ts';

export const AUTHORITY = 'gateway.test';

export interface Delivery {
  readonly payload: unknown;
  readonly key: string;
}

export interface GatewayProcess extends Target {
  readonly deliveries: readonly Delivery[];
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
}

/** @param settings as in the YAML file. */
export async function gatewayProcess(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<GatewayProcess> {
  const file = join(folder, 'countersign.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(settings));
  const script = join(import.meta.dirname, 'gateway-child.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', script, join(folder, 'data'), file], {
    cwd: join(import.meta.dirname, '../../..'),
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const closed = once(child, 'close');
  const deliveries: Delivery[] = [];
  let unfinished = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (unfinished + chunk).split('\n');
    unfinished = lines.pop() as string;
    for (const line of lines) deliveries.push(JSON.parse(line));
  });
  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    await closed;
  }
  onTestFinished(kill);
  const early = closed.then(() => Promise.reject(new Error('the gateway ended by itself')));
  const [port] = (await Promise.race([once(child, 'message'), early])) as [number];
  early.catch(() => {});
  return { port, clock: Date, deliveries, kill };
}
