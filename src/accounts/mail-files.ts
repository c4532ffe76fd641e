/**
 * Mail as files: a folder for each person, which only the gateway's user may read. The default, for trying out, and
 * for whoever carries mail further by other means.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { checkNames, isMailable, type Mail, type MailMessage } from './mail.ts';

const ENDING = '.eml';

/** A message as it is kept. */
export interface KeptMail {
  readonly id: string;
  /** The whole message (RFC 5322). */
  readonly content: string;
}

export interface SweepOptions {
  /** Whether there is such an account. */
  readonly isKnown: (account: string) => boolean | Promise<boolean>;
  /** Milliseconds since the epoch: what was written before it to somebody without an account has ended. */
  readonly before: number;
}

export class MailFiles implements Mail {
  private readonly folder: string;

  /** @param data the data folder. */
  constructor(data: string) {
    this.folder = join(data, 'mail');
  }

  async send(message: MailMessage): Promise<'sent' | 'refused'> {
    if (!isMailable(message.to)) return 'refused';
    checkNames(message.owner, message.id);
    const folder = join(this.folder, message.owner);
    await makePrivate(this.folder);
    await makePrivate(folder);
    const draft = join(folder, `${message.id}.${randomBytes(6).toString('hex')}.tmp`);
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(contentOf(message));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, join(folder, `${message.id}${ENDING}`));
    return 'sent';
  }

  /** In the order of their ids. */
  async kept(owner: string): Promise<KeptMail[]> {
    checkNames(owner);
    const folder = join(this.folder, owner);
    const names = (await listed(folder)).filter((name) => name.endsWith(ENDING)).sort();
    const found = names.map(async (name) => {
      const content = await unlessGone(readFile(join(folder, name), 'utf8'));
      return content === undefined ? [] : [{ id: name.slice(0, -ENDING.length), content }];
    });
    return (await Promise.all(found)).flat();
  }

  /** Removes all that is kept for somebody. */
  async forget(owner: string): Promise<void> {
    checkNames(owner);
    await rm(join(this.folder, owner), { recursive: true, force: true, maxRetries: 2 });
  }

  /** Removes what is kept for nobody any more: a crash may have come between an erasure and its files. */
  async sweep({ isKnown, before }: SweepOptions): Promise<void> {
    for (const owner of await listed(this.folder)) {
      if (/^[0-9a-f]{24}$/.test(owner)) {
        if (!(await isKnown(owner))) await this.forget(owner);
      } else if (/^[0-9a-f]{32}$/.test(owner)) {
        const { mtimeMs } = await stat(join(this.folder, owner));
        if (mtimeMs < before) await this.forget(owner);
      }
    }
  }
}

async function makePrivate(folder: string): Promise<void> {
  // Never with its parents: they are there, or somebody is removing them.
  const isNew = await mkdir(folder, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (isNew) await chmod(folder, 0o700);
}

async function listed(folder: string): Promise<string[]> {
  return (await unlessGone(readdir(folder))) ?? [];
}

/** Undefined where there is nothing to be read: it never was, or was removed in this moment. */
async function unlessGone<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** UTF-8 as it is, so that a ticket can be copied out of it. */
function contentOf({ id, to, subject, text, kind, at }: MailMessage): string {
  const fields = [
    ['Message-ID', `<${id}@countersign.invalid>`],
    ['Date', new Date(at * 1000).toUTCString().replace('GMT', '+0000')],
    ['To', to],
    ['Subject', subject],
    ['X-Countersign-Kind', kind],
    ['MIME-Version', '1.0'],
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Transfer-Encoding', '8bit'],
  ];
  const head = fields.map(([name, value]) => `${name}: ${value}\n`).join('');
  return `${head}\n${text}`;
}
