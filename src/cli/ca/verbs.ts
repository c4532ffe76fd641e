/**
 * The verbs of `countersign ca`, in the order of `--help`. They load the issuer's libraries.
 * @module
 */
import type { Command } from 'commander';
import { deny } from './deny.ts';
import { enrol } from './enrol.ts';
import { exportBundle } from './export.ts';
import { init } from './init.ts';
import { issue } from './issue.ts';
import { request } from './request.ts';
import { rotate } from './rotate.ts';
import { run } from './run.ts';
import { trust } from './trust.ts';
import { verify } from './verify.ts';

export function verbs(): Command[] {
  return [init(), request(), issue(), enrol(), run(), verify(), trust(), rotate(), deny(), exportBundle()];
}
