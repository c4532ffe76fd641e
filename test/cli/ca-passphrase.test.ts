/** Where a passphrase comes from: a file, a descriptor, or a terminal that shows nothing of it. */
import { EventEmitter } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPassphrase } from '../../src/cli/ca/passphrase.ts';
import type { Terminal } from '../../src/cli/dialogue.ts';
import { refusal } from '../issuer/refusal.ts';
import { scratchFolder } from '../issuer/scratch-root.ts';

const LONG = 'correct horse battery staple';

function fileOf(content: string | Buffer): string {
  const file = join(scratchFolder(), 'passphrase');
  writeFileSync(file, content);
  return file;
}

describe('a passphrase file', () => {
  it.each([
    ['one line', `${LONG}\n`, LONG],
    ['no line end', LONG, LONG],
    ['more lines', `${LONG}\nand more\n`, LONG],
    ['a line end of Windows', `${LONG}\r\nand more\r\n`, LONG],
    ['spaces around it, which count', `  ${LONG} \n`, `  ${LONG} `],
    ['letters of any kind', 'Füchse und 狐 im Wald\n', 'Füchse und 狐 im Wald'],
    ['sixteen characters, each of four bytes', `${'🦊'.repeat(16)}\n`, '🦊'.repeat(16)],
  ])('with %s ends at its first line end', async (_what, content, passphrase) => {
    expect(await readPassphrase({ passphraseFile: fileOf(content) }, true)).toBe(passphrase);
    expect(await readPassphrase({ passphraseFd: openSync(fileOf(content), 'r') })).toBe(passphrase);
  });

  it.each([
    ['nothing in it', '', 'empty'],
    ['an empty first line', `\n${LONG}\n`, 'empty'],
    ['fifteen characters', '123456789012345\n', '16 characters'],
    ['fifteen characters, and more on the next line', '123456789012345\n6\n', '16 characters'],
    ['1,001 bytes', 'x'.repeat(1001), '1000 bytes'],
    ['a NUL', `${LONG}\0\n`, 'not text'],
    ['bytes that are no text', Buffer.from([...Buffer.from(LONG), 0xff, 0x0a]), 'not text'],
  ])('with %s makes no new passphrase', async (_what, content, why) => {
    const { code, detail } = await refusal(() => readPassphrase({ passphraseFile: fileOf(content) }, true));
    expect([code, detail]).toEqual(['passphrase-invalid', expect.stringContaining(why)]);
  });

  it('that opens an old key may be shorter', async () => {
    expect(await readPassphrase({ passphraseFile: fileOf('short\n') })).toBe('short');
  });

  it('that is not there, or a descriptor that is not open, is told', async () => {
    const file = join(scratchFolder(), 'nowhere');
    const { code, detail } = await refusal(() => readPassphrase({ passphraseFile: file }));
    expect([code, detail]).toEqual(['passphrase-invalid', expect.stringContaining(file)]);
    expect(await refusal(() => readPassphrase({ passphraseFd: 999_999 }))).toMatchObject({
      code: 'passphrase-invalid',
    });
  });
});

/** A terminal on which somebody types these pieces, each as soon as it is read from. */
class FakeTerminal extends EventEmitter implements Terminal {
  readonly isTTY = true;
  readonly input = this as unknown as Terminal['input'];
  readonly output = { write: (text: string) => (this.shown += text) };
  readonly isRawWhenRead: boolean[] = [];
  shown = '';
  isRaw = false;
  private readonly pieces: string[];

  constructor(...pieces: string[]) {
    super();
    this.pieces = pieces;
  }

  setRawMode(isRaw: boolean): void {
    this.isRaw = isRaw;
  }

  pause(): void {}

  resume(): void {
    const piece = this.pieces.shift();
    this.isRawWhenRead.push(this.isRaw);
    if (piece !== undefined) queueMicrotask(() => this.emit('data', Buffer.from(piece)));
  }
}

describe('on the terminal', () => {
  it('a new passphrase is asked for twice, and nothing of it is shown', async () => {
    const terminal = new FakeTerminal(`${LONG}\r`, `${LONG}\r`);
    expect(await readPassphrase({}, true, terminal)).toBe(LONG);
    expect(terminal.shown).toBe('New passphrase (16 characters or more): \nThe same again: \n');
    expect([terminal.isRawWhenRead, terminal.isRaw]).toEqual([[true, true], false]);
  });

  it('an old one is asked for once', async () => {
    const terminal = new FakeTerminal('short', '\r');
    expect(await readPassphrase({}, false, terminal)).toBe('short');
    expect(terminal.shown).toBe('Passphrase: \n');
  });

  it('it may be typed key by key, mended, and pasted with its repetition', async () => {
    const keys = ['x', '\x7f', ...'wrong', '\x15', ...LONG, '!', '\b', '\n'];
    expect(await readPassphrase({}, false, new FakeTerminal(...keys))).toBe(LONG);
    expect(await readPassphrase({}, true, new FakeTerminal(`${LONG}\n${LONG}\n`))).toBe(LONG);
    expect(await readPassphrase({}, false, new FakeTerminal('狐🦊', '\x7f\r'))).toBe('狐');
  });

  it.each([
    ['two that differ', [`${LONG}\r`, `${LONG}!\r`], 'differ'],
    ['one that is too short, before it is asked for again', ['short\r'], '16 characters'],
    ['none', ['\r'], '16 characters'],
    ['an interruption', ['abc\x03'], 'broken off'],
    ['an end', ['\x04'], 'broken off'],
    ['an arrow key', ['\x1b[A'], 'no part of an answer'],
  ])('%s makes none', async (_what, pieces, why) => {
    const terminal = new FakeTerminal(...pieces);
    const { code, detail } = await refusal(() => readPassphrase({}, true, terminal));
    expect([code, detail]).toEqual(['passphrase-invalid', expect.stringContaining(why)]);
    expect(terminal.isRaw).toBe(false);
    expect(terminal.shown).not.toContain(LONG);
  });

  it('that is none, one is told what to give', async () => {
    const terminal = {
      ...new FakeTerminal(),
      input: { isTTY: false } as Terminal['input'],
      output: { write: () => true },
    };
    const { code, detail } = await refusal(() => readPassphrase({}, true, terminal));
    expect([code, detail]).toEqual(['passphrase-invalid', expect.stringContaining('--passphrase-file')]);
  });
});
