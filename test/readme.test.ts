/** The README is held against the code that it speaks of. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { refusalCodes } from '../src/errors.ts';
import { refusalStatus } from '../src/gateway/refusals.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const source = (path: string) => readFileSync(join(root, path), 'utf8');

describe('the README', () => {
  it('has the two commands first, and the line that the start prints', () => {
    const commands = [...readme.matchAll(/^ {4}(\S.*)$/gm)].map(([, line]) => line);
    expect(commands.slice(0, 3)).toEqual([
      'npm ci && npm start',
      'npm ci && npm test',
      `npx --no countersign call POST /v1/echo '{"hello":"world"}'`,
    ]);
  });

  it('explains every refusal, with its status and an anchor', () => {
    const rows = [
      ...readme.matchAll(/^\| <a id="([a-z-]+)"><\/a>`([a-z-]+)` \| (\d{3}) \| (yes|no) \| .{20,} \|$/gm),
    ];
    expect(rows.map(([, anchor, code, status]) => [anchor, code, Number(status)])).toEqual(
      refusalCodes.map((code) => [code, code, refusalStatus[code]]),
    );
  });

  it('names every variable that the configuration reads, and no other', () => {
    const read = new Set(
      ['config', 'environment'].flatMap(
        (file) => source(`src/config/${file}.ts`).match(/COUNTERSIGN_[A-Z_]+/g) ?? [],
      ),
    );
    const named = new Set(readme.match(/^\| `COUNTERSIGN_[A-Z_]+`/gm)?.map((cell) => cell.slice(3, -1)));
    expect([...named].sort()).toEqual([...read].sort());
  });

  it('shows the stages in the order of the pipeline', () => {
    const stages = [...source('src/gateway/app.ts').matchAll(/^ {4}([a-zA-Z]+)(?:\(\{.*\}\))?,$/gm)].map(
      ([, name]) => name,
    );
    expect(stages).toEqual([
      'drainBody',
      'logRequest',
      'signResponse',
      'tellQuota',
      'renderProblem',
      'shedLoad',
      'auditRefusal',
      'readMessage',
      'limitFailures',
      'findRoute',
      'authenticate',
      'authenticatePerson',
      'claimNonce',
      'demandCertificate',
      'limitConsumer',
      'readBody',
      'verifyDigest',
      'authorizeCall',
      'answer',
    ]);
  });
});
