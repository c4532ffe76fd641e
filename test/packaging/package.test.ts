/**
 * The package as another project gets it: packed from a clean build, installed, imported and type-checked.
 */
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { copyProject, root } from '../e2e/built.ts';
import { Child, endAll, type Outcome, temporaryFolder } from '../e2e/processes.ts';

interface PackedFile {
  readonly path: string;
  readonly mode: number;
}

let packed: readonly PackedFile[];
/** The project that has installed the package. */
let user: string;

beforeAll(async () => {
  const project = temporaryFolder();
  copyProject(project);
  await npm(['run', 'build'], project);
  const [tarball] = JSON.parse((await npm(['pack', '--json'], project)).stdout);
  packed = tarball.files;

  user = temporaryFolder();
  writeFileSync(join(user, 'package.json'), '{ "name": "user", "private": true, "type": "module" }');
  const quietly = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await npm(['install', ...quietly, join(project, tarball.filename)], user);
  // What every TypeScript project on Node has, in place of the newest one, which koa-body brings along.
  mkdirSync(join(user, 'node_modules/@types'), { recursive: true });
  rmSync(join(user, 'node_modules/@types/node'), { recursive: true, force: true });
  symlinkSync(join(root, 'node_modules/@types/node'), join(user, 'node_modules/@types/node'));
}, 120_000);

afterAll(endAll);

async function npm(args: readonly string[], cwd: string): Promise<Outcome> {
  const outcome = await new Child('npm', args, { cwd, group: true }).ended;
  if (outcome.code !== 0)
    throw new Error(`npm ${args.join(' ')} failed:\n${outcome.stdout}\n${outcome.stderr}`);
  return outcome;
}

/** Runs a module of the user's project. */
function run(source: string): Promise<Outcome> {
  return new Child(process.execPath, ['--input-type=module', '-e', source], { cwd: user }).ended;
}

async function typeCheck(source: string, skipLibCheck: boolean): Promise<string> {
  writeFileSync(join(user, 'use.ts'), source);
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    noEmit: true,
    types: ['node'],
  };
  const config = { compilerOptions: { ...compilerOptions, skipLibCheck }, include: ['use.ts'] };
  writeFileSync(join(user, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  return (await new Child(process.execPath, [compiler, '-p', '.'], { cwd: user }).ended).stdout;
}

it('holds the build, the README and the licence, and neither sources nor tests', () => {
  const paths = packed.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'dist/index.js']));
  const strangers = paths.filter(
    (path) => !/^(dist\/|certs\/|(package\.json|README\.md|LICENSE)$)/.test(path),
  );
  expect(strangers).toEqual([]);
  expect(paths.filter((path) => /(^|\/)(src|test|scripts)\/|\.test\.|(?<!\.d)\.ts$/.test(path))).toEqual([]);
  expect(paths.filter((path) => /\.(key|db|pem)$|demo\.json|\.countersign/.test(path))).toEqual([]);
});

it('has a command that can be run', async () => {
  const mode = packed.find(({ path }) => path === 'dist/cli/countersign.js')?.mode;
  expect(mode?.toString(8)).toBe('755');
  const { code, stdout } = await new Child(join(user, 'node_modules/.bin/countersign'), ['--help'], {
    cwd: user,
  }).ended;
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('Usage: countersign') });
});

it.each([
  ['countersign', ['startGateway', 'loadConfig', 'CountersignError', 'refusalCodes']],
  ['countersign/client', ['signedFetch', 'readCredentialsFile', 'ResponseError']],
  ['countersign/signatures', ['signRequest', 'verifyRequest', 'contentDigest']],
  ['countersign/testing', ['startTestGateway', 'TestClock']],
])('%s can be imported', async (entry, names) => {
  const { code, stdout, stderr } = await run(
    `import * as all from '${entry}'; console.log(JSON.stringify(Object.keys(all)))`,
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(names));
});

it.each(['countersign/dist/main.js', 'countersign/storage', 'countersign/package.json'])(
  '%s can not: what is not exported is ours to change',
  async (entry) => {
    const { stdout } = await run(`import('${entry}').catch(({ code }) => console.log(code))`);
    expect(stdout).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED\n');
  },
);

it('needs no package for its client and its signatures', async () => {
  // Out of reach of every other package.
  const alone = temporaryFolder();
  cpSync(join(user, 'node_modules/countersign'), alone, { recursive: true });
  const load = (file: string) =>
    new Child(process.execPath, ['--input-type=module', '-e', `import '${join(alone, 'dist', file)}'`]).ended;
  for (const file of ['client/index.js', 'signatures/index.js']) {
    expect(await load(file)).toEqual({ code: 0, stdout: '', stderr: '' });
  }
  expect((await load('index.js')).stderr).toContain('ERR_MODULE_NOT_FOUND');
});

it('has types for all of its entries, which tell right from wrong', async () => {
  const source = `
    import { CountersignError, type Gateway, loadConfig, startGateway } from 'countersign';
    import { signedFetch } from 'countersign/client';
    import { contentDigest } from 'countersign/signatures';
    import { startTestGateway, TestClock } from 'countersign/testing';

    const gateway: Gateway = await startGateway(loadConfig({}));
    const call = signedFetch({ keyid: 'a', secret: 'b', url: gateway.url });
    const response: Response = await call('/v1/echo', { method: 'POST', body: contentDigest('{}') });
    const test = await startTestGateway({ clock: new TestClock() });
    if (response.ok) throw new CountersignError('not-found', test.url);

    // @ts-expect-error a URL is no number
    const wrong: number = gateway.url;
    // @ts-expect-error there is no such code
    new CountersignError('no-such-code', String(wrong));
    // @ts-expect-error a secret is missing
    signedFetch({ keyid: 'a' });
  `;
  expect(await typeCheck(source, true)).toBe('');
});

it('has types for its client and its signatures that need no other types', async () => {
  const source = `
    import { readCredentialsFile, signedFetch } from 'countersign/client';
    import { Fields, generateSecret } from 'countersign/signatures';
    export const call = signedFetch(await readCredentialsFile('demo.json'));
    export const all = [new Fields(), generateSecret()];
  `;
  expect(await typeCheck(source, false)).toBe('');
});
