/** The README's programs, run as they stand in it, against a gateway, and against somebody in between. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer, request as overHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../src/testing.ts';
import { builtFolder, root } from './e2e/built.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The first block of a language below a heading. */
function snippet(heading: string, language: string): string {
  const [, section = ''] = readme.split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [, code] = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(section) ?? [];
  if (code === undefined) throw new Error(`The README has no ${language} under "${heading}".`);
  return code;
}

const interpreters: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh', '-s'],
  bash: ['bash', '-s'],
  python: ['python3', '-'],
  js: [process.execPath, '--input-type=module', '-'],
};

interface Run {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program that it is given on standard input, as it would run from a file. */
async function run(language: string, code: string, variables = {}, cwd = root): Promise<Run> {
  const [command = '', ...options] = interpreters[language] as string[];
  const env = { ...process.env, NO_PROXY: '*', no_proxy: '*', ...variables };
  const child: ChildProcess = spawn(command, options, { cwd, env });
  const { stdin, stdout, stderr } = child as Required<ChildProcess>;
  if (!stdin || !stdout || !stderr) throw new Error('the program has no pipes');
  stdin.end(code);
  const [output, errors] = await Promise.all([text(stdout), text(stderr), once(child, 'close')]);
  return { status: child.exitCode, output, errors };
}

const missing = (commands: readonly string[]) =>
  commands.filter((command) => spawnSync(command, ['--version']).error !== undefined);

interface Program {
  readonly heading: string;
  readonly language: string;
  readonly needs: readonly string[];
  readonly verifies: boolean;
}

const programs: readonly Program[] = [
  {
    heading: 'bash, openssl and curl',
    language: 'bash',
    needs: ['bash', 'openssl', 'curl', 'od'],
    verifies: false,
  },
  { heading: 'Python', language: 'python', needs: ['python3'], verifies: true },
  { heading: 'http-message-signatures \\(npm\\)', language: 'js', needs: [], verifies: true },
  { heading: 'http-message-sig \\(npm\\)', language: 'js', needs: [], verifies: true },
  { heading: '@ltonetwork/http-message-signatures \\(npm\\)', language: 'js', needs: [], verifies: false },
];

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** What somebody between the program and the gateway does to an answer. */
let meddle: (answer: Answer) => void;
let gateway: TestGateway;
let variables: Readonly<Record<string, string>>;

const between = createServer(async (req, res) => {
  const { method, url: path, headers } = req;
  const onward = overHttp({ host: '127.0.0.1', port: gateway.port, method, path, headers, setHost: false });
  onward.end(await buffer(req));
  const [received] = await once(onward, 'response');
  const { connection: _, ...rest } = received.headers;
  const answer = { status: received.statusCode, headers: rest, body: await buffer(received) };
  meddle(answer);
  res.writeHead(answer.status, answer.headers).end(answer.body);
});

beforeAll(async () => {
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  const url = `http://127.0.0.1:${(between.address() as AddressInfo).port}`;
  gateway = await startTestGateway({ settings: { origins: [url] } });
  const { keyid, secret } = gateway.credentials;
  variables = { COUNTERSIGN_URL: url, COUNTERSIGN_KEYID: keyid, COUNTERSIGN_SECRET: secret };
});
beforeEach(() => {
  meddle = () => {};
  // The programs know no other clock than the machine's.
  gateway.clock.set(Date.now());
});
afterAll(async () => {
  between.close();
  between.closeAllConnections();
  await gateway.close();
});

const meddlings: readonly [what: string, meddle: (answer: Answer) => void][] = [
  ['another body', ({ body }) => body.write('W', body.indexOf('world'))],
  ['another status', (answer) => (answer.status = 201)],
  ['another type', ({ headers }) => (headers['content-type'] = 'text/html')],
  [
    'another digest, which fits another body',
    (answer) => {
      answer.body = Buffer.from('');
      answer.headers['content-length'] = '0';
      answer.headers['content-digest'] = 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:';
    },
  ],
  [
    'no signature',
    ({ headers }) => {
      delete headers.signature;
      delete headers['signature-input'];
    },
  ],
];

for (const { heading, language, needs, verifies } of programs) {
  const title = heading.replaceAll('\\', '');
  const absent = missing(needs).join(' and ');
  if (absent) console.warn(`The README's "${title}" is not tested: ${absent} is not installed.`);

  describe.skipIf(absent !== '')(`the README's "${title}"`, () => {
    it(verifies ? 'is answered 200, and verifies the answer' : 'is answered 200', async () => {
      const { status, output, errors } = await run(language, snippet(heading, language), variables);
      expect(errors).toBe('');
      expect(output).toContain('{"consumer":"demo","echo":{"hello":"world"}}');
      expect(output).toMatch(verifies ? /^200 verified / : /^200\b/m);
      expect(status).toBe(0);
    });

    it('shows why it is refused, with another secret', async () => {
      const other = { ...variables, COUNTERSIGN_SECRET: Buffer.alloc(64).toString('base64') };
      const { output, errors } = await run(language, snippet(heading, language), other);
      expect(output + errors).toContain('signature-invalid');
      expect(output).not.toContain('verified');
    });

    if (!verifies) return;

    it.each(meddlings)('does not trust an answer with %s', async (_what, change) => {
      meddle = change;
      const { status, output } = await run(language, snippet(heading, language), variables);
      expect(output).not.toContain('verified');
      expect(status).not.toBe(0);
    });

    it('does not trust the answer to another call', async () => {
      let earlier: Answer | undefined;
      meddle = (answer) => {
        earlier = { ...answer };
      };
      const code = snippet(heading, language);
      await run(language, code, variables);
      meddle = (answer) => Object.assign(answer, earlier);
      const { status, output } = await run(language, code, variables);
      expect(earlier?.status).toBe(200);
      expect(output).not.toContain('verified');
      expect(status).not.toBe(0);
    });
  });
}

describe("the README's bash", () => {
  it.skipIf(missing(['bash', 'openssl', 'curl', 'od']).length > 0)(
    'gives no process the secret as an argument',
    async () => {
      const code = snippet('bash, openssl and curl', 'bash');
      // Each command that isn't built into the shell is written down with its arguments.
      const traced = ['openssl', 'curl', 'od', 'cat', 'date'].map(
        (name) => `${name}() { printf '%s ' ${name} "$@" >&2; echo >&2; command ${name} "$@"; }\n`,
      );
      const { output, errors } = await run('bash', traced.join('') + code, variables);
      expect(output).toContain('\n200\n');
      expect(errors).toMatch(/^curl .*Signature: /m);
      const secret = Buffer.from(variables.COUNTERSIGN_SECRET as string, 'base64');
      for (const form of [secret.toString('base64'), secret.toString('hex')])
        expect(errors).not.toContain(form);
    },
  );
});

describe("the README's other programs", () => {
  it('set the variables from the credentials file of the first start', async () => {
    const code = snippet('Sign by hand', 'sh').replace('.countersign/', join(gateway.folder, 'data/'));
    const { output, errors } = await run('sh', `${code}\nenv`);
    expect(errors).toBe('');
    for (const [name, value] of Object.entries(variables)) expect(output).toContain(`${name}=${value}\n`);
  });

  it('record and replay in tests', async () => {
    // Below the built package, which can be imported by its name there.
    const folder = mkdtempSync(join(builtFolder(), 'in-tests-'));
    const { status, output, errors } = await run('js', snippet('In tests', 'js'), {}, folder);
    expect(output + errors).toMatch(/\bpass 2\b/);
    expect(status).toBe(0);
  });
});
