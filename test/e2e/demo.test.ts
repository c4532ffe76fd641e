import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { root } from './built.ts';
import { Child, endAll, temporaryFolder } from './processes.ts';

afterEach(endAll);

it('the demo shows a call and three attempts on it, ends with 0, and leaves nothing behind', async () => {
  const temporary = temporaryFolder();
  const demo = new Child(process.execPath, ['--import', 'tsx', join(root, 'scripts/demo.ts')], {
    cwd: root,
    variables: { TMPDIR: temporary },
  });
  const { code, stdout, stderr } = await demo.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });

  const [intro = '', call = '', replay, changed, expired] = stdout.split('\n== ');
  expect(intro).toContain('The consumer "shop" signs with the key shop.');
  expect(call).toMatch(/\nPOST \/orders HTTP\/1\.1\n.*\nsignature-input: .*\n\n\{"tea":2\}\n/s);
  expect(call).toMatch(
    /\nHTTP\/1\.1 200 OK\n.*\nSignature-Input: .*\n\n\{"ordered":\{"tea":2\},"by":"shop"\}\n/is,
  );
  for (const [part, status, refusal] of [
    [replay, 401, 'nonce-replayed'],
    [changed, 400, 'digest-mismatch'],
    [expired, 401, 'signature-expired'],
  ] as const) {
    expect(part).toMatch(new RegExp(`\n${status} ${refusal}: \\S.*\n`));
  }
  expect(stdout.match(/The response is signed, bound to this request, and verified\./g)).toHaveLength(4);
  expect(readdirSync(temporary).filter((name) => name.startsWith('countersign'))).toEqual([]);
});
