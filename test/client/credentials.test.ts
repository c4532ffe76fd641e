/** Credentials that can't be used are refused with a sentence that never shows the secret. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  CountersignError,
  type Credentials,
  readCredentials,
  readCredentialsFile,
  signedFetch,
  signingKey,
} from '../../src/client/index.ts';
import { rejection } from './peer.ts';

const secret = Buffer.alloc(64, 9).toString('base64');

function thrown(act: () => unknown): CountersignError {
  try {
    act();
  } catch (error) {
    if (error instanceof CountersignError) return error;
  }
  throw new Error('A CountersignError was expected.');
}

describe('signedFetch refuses', () => {
  it.each<[string, unknown]>([
    ['a secret of 31 bytes', { keyid: 'k', secret: Buffer.alloc(31) }],
    ['a secret of 31 bytes in base64', { keyid: 'k', secret: Buffer.alloc(31).toString('base64') }],
    ['a secret that is not base64', { keyid: 'k', secret: `${secret}!` }],
    ['no secret', { keyid: 'k' }],
    ['no keyid', { secret }],
    ['an empty keyid', { keyid: '', secret }],
    ['a keyid beyond ASCII', { keyid: 'ü', secret }],
    ['a keyid too long', { keyid: 'k'.repeat(129), secret }],
    ['a url that is none', { keyid: 'k', secret, url: 'gateway' }],
    ['a url of another scheme', { keyid: 'k', secret, url: 'ftp://gateway/' }],
  ])('%s', (_, credentials) => {
    expect(thrown(() => signedFetch(credentials as Credentials)).code).toBe('credentials-invalid');
  });

  it('none that are right: base64 or bytes, of 32 bytes and more', () => {
    for (const each of [secret, Buffer.alloc(32), new Uint8Array(64), secret.replace(/=+$/, '')]) {
      signedFetch({ keyid: 'k', secret: each, url: 'https://gateway.example' });
    }
  });
});

describe('a credentials file', () => {
  it('has keyid, secret and perhaps url, and other members are let be', () => {
    const text = JSON.stringify({ consumer: 'shop', keyid: 'k', secret, roles: [] });
    expect(readCredentials(text)).toEqual({ keyid: 'k', secret });
    expect(readCredentials(JSON.stringify({ keyid: 'k', secret, url: 'https://gateway.example' }))).toEqual({
      keyid: 'k',
      secret,
      url: 'https://gateway.example',
    });
  });

  it.each([
    ['no JSON', `{"keyid":"k","secret":"${secret}"`],
    ['a list', '[]'],
    ['null', 'null'],
    ['no keyid', JSON.stringify({ secret })],
    ['no secret', '{"keyid":"k"}'],
    ['a secret that is a number', '{"keyid":"k","secret":5}'],
    ['a short secret', '{"keyid":"k","secret":"c2hvcnQ="}'],
    ['a url that is a number', JSON.stringify({ keyid: 'k', secret, url: 5 })],
    ['a url that is none', JSON.stringify({ keyid: 'k', secret, url: 'x' })],
  ])('is refused where it has %s', (_, text) => {
    const error = thrown(() => readCredentials(text));
    expect(error.code).toBe('credentials-invalid');
    expect(inspect(error)).not.toContain(secret.slice(0, 12));
    expect(error.message).not.toContain('c2hvcnQ');
  });

  async function fileOf(text: string, mode: number): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-client-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, 'shop.json');
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  }

  async function warningsOf(act: () => Promise<unknown>): Promise<string[]> {
    const codes: string[] = [];
    const note = (warning: Error & { code?: string }) => void codes.push(warning.code ?? '');
    process.on('warning', note);
    await act();
    // Warnings are told of on the next turn.
    await new Promise(setImmediate);
    process.off('warning', note);
    return codes;
  }

  it('is read, in silence where only its owner may', async () => {
    const path = await fileOf(JSON.stringify({ keyid: 'k', secret }), 0o600);
    expect(
      await warningsOf(async () => expect(await readCredentialsFile(path)).toEqual({ keyid: 'k', secret })),
    ).toEqual([]);
  });

  it.each([0o640, 0o604, 0o666])('is read with a warning where its mode is %i', async (mode) => {
    const path = await fileOf(JSON.stringify({ keyid: 'k', secret }), mode);
    expect(await warningsOf(() => readCredentialsFile(path))).toEqual(['COUNTERSIGN_CREDENTIALS_MODE']);
  });

  it.each([
    ['that is missing', async () => '/nowhere/shop.json', /ENOENT/],
    ['that is a folder', async () => tmpdir(), /EISDIR/],
    ['that is far too long', () => fileOf(' '.repeat(70_000), 0o600), /longer/],
    ['that is not JSON', () => fileOf('keyid: k', 0o600), /not JSON/],
  ])('%s is refused with its name', async (_, make, reason) => {
    const path = await make();
    const error = (await rejection(readCredentialsFile(path))) as CountersignError;
    expect([error.code, error.message.includes(path)]).toEqual(['credentials-invalid', true]);
    expect(error.message).toMatch(reason);
  });
});

it('a key that is printed does not show its secret', () => {
  const shown = inspect(signingKey({ keyid: 'k', secret }), { depth: 9, showHidden: true });
  expect(shown).not.toContain(secret.slice(0, 12));
  expect(JSON.stringify(signingKey({ keyid: 'k', secret }))).not.toContain(secret.slice(0, 12));
});
