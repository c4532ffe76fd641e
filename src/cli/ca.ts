/**
 * `countersign ca`: the offline issuer and its root, one file a verb.
 * @module
 */
import type { Command } from 'commander';
import { deny } from './ca/deny.ts';
import { enrol } from './ca/enrol.ts';
import { exportBundle } from './ca/export.ts';
import { init } from './ca/init.ts';
import { issue } from './ca/issue.ts';
import { request } from './ca/request.ts';
import { run } from './ca/run.ts';
import { trust } from './ca/trust.ts';
import { verify } from './ca/verify.ts';
import { noun } from './command.ts';

export function ca(): Command {
  return noun('ca', 'the offline root and its 12-hour certificates', [
    init(),
    request(),
    issue(),
    enrol(),
    run(),
    verify(),
    trust(),
    deny(),
    exportBundle(),
  ]);
}
