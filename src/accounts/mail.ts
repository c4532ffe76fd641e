/**
 * Mail to people: the port, and what may become of a message. It is sent by the outbox, once what it tells of has
 * committed; a second delivery bears the same id, and the same ticket.
 * @module
 */

/** What the log says of a message, beside its id. */
export type MailKind = 'invitation' | 'confirm-email' | 'reset-password' | 'password-changed';

export interface MailMessage {
  /** The same in every delivery: 22 to 64 characters of base64url. */
  readonly id: string;
  readonly kind: MailKind;
  /** Whose it is: an account's id, or where there is none yet, the tag of an address (`Tickets.addressTag`). */
  readonly owner: string;
  readonly to: string;
  /** ASCII, of our own words. */
  readonly subject: string;
  /** Of our own words: what people say of themselves stays out, or anybody could send their words in our name. */
  readonly text: string;
  /** Epoch seconds. */
  readonly at: number;
}

export interface Mail {
  /**
   * Rejects where it is worth another try; its error says nothing of the addressee.
   * @returns `refused` where no other try would help.
   */
  send(message: MailMessage): Promise<'sent' | 'refused'>;
}

const MOST_ADDRESS = 254;
/** What means something in a header field or a command (RFC 5321, RFC 5322), and whatever isn't seen. */
const UNFIT = /[\p{C}\p{Z}",:;<>()[\]\\]/u;

/** Whether the text is one address and nothing besides, whatever is done with it. */
export function isMailable(address: string): boolean {
  const [local, domain, ...more] = address.split('@');
  return (
    Boolean(local && domain) && more.length === 0 && address.length <= MOST_ADDRESS && !UNFIT.test(address)
  );
}

const OWNER = /^(?:[0-9a-f]{24}|[0-9a-f]{32})$/;
const ID = /^[A-Za-z0-9_-]{22,64}$/;

/** Both become names of files: whatever they come from, they lead nowhere else. */
export function checkNames(owner: string, id?: string): void {
  if (!OWNER.test(owner)) throw new Error('this is nobody that mail is kept for');
  if (id !== undefined && !ID.test(id)) throw new Error('this is no id of a message');
}
