/**
 * Signature-Input and Signature (RFC 9421 sections 4.1 and 4.2): reading the one signature that bears our tag.
 * @module
 */
import { CountersignError } from '../errors.ts';
import { type Component, readComponent } from './components.ts';
import type { Fields } from './fields.ts';
import {
  type BareItem,
  type InnerList,
  type Item,
  isInnerList,
  type Member,
  type Parameters,
  parseDictionary,
  serializeItem,
  serializeMember,
} from './structured-fields.ts';

/** The tags of the profile (RFC 9421 section 2.3): a message of one kind can't be reflected as another. */
export type Tag = 'countersign-request-v1' | 'countersign-response-v1' | 'countersign-upstream-v1';

export const MOST_SIGNATURES = 4;
export const MOST_COMPONENTS = 32;
const MOST_SIGNATURE_INPUT = 4096;
const MOST_SIGNATURE = 2048;

/** A response repeats all that its request covered, as `;req`, and adds what it covers of itself. */
const roomFor = (tag: Tag) => (tag === 'countersign-response-v1' ? 2 : 1);

/** Signature parameters as the profile demands them; times are whole seconds since the epoch. */
export interface SignatureParameters {
  readonly created: number;
  readonly expires: number;
  readonly nonce: string;
  readonly keyid: string;
  readonly tag: Tag;
}

/** A signature that is well formed and allowed, of which nothing has been verified. */
export interface PresentedSignature {
  readonly label: string;
  readonly components: readonly Component[];
  readonly parameters: SignatureParameters;
  /** The member of Signature-Input as sent: the value of `@signature-params` in the base. */
  readonly signatureParams: string;
  readonly signature: Buffer;
  /** `alg` names another algorithm than the key's. Answered as a bad MAC is, so that it tells nothing. */
  readonly wrongAlgorithm: boolean;
}

/** Says whether a message presents any signature at all. */
export function bearsSignature(fields: Fields): boolean {
  return fields.has('signature-input') || fields.has('signature');
}

/** Finds the signature with the tag and reads it; `signature-missing`, `-malformed` or `-policy` otherwise. */
export function readSignature(fields: Fields, tag: Tag): PresentedSignature {
  const inputText = fields.get('signature-input');
  const signatureText = fields.get('signature');
  if (inputText === undefined && signatureText === undefined) {
    throw new CountersignError('signature-missing', 'The message bears no signature; sign it (RFC 9421).');
  }
  if (inputText === undefined || signatureText === undefined) {
    throw malformed('Signature and Signature-Input go together; one of them is missing');
  }
  const mostInput = MOST_SIGNATURE_INPUT * roomFor(tag);
  if (inputText.length > mostInput) throw malformed(`Signature-Input exceeds ${mostInput} bytes`);
  if (signatureText.length > MOST_SIGNATURE) throw malformed(`Signature exceeds ${MOST_SIGNATURE} bytes`);

  const inputs = parseDictionary(inputText);
  if (inputs.size > MOST_SIGNATURES)
    throw policy(`It bears ${inputs.size} signatures; send at most ${MOST_SIGNATURES}`);
  let chosen: { label: string; member: Member; value: InnerList } | undefined;
  for (const [label, member] of inputs) {
    const { value } = member;
    if (!isInnerList(value))
      throw malformed(`The member "${label}" of Signature-Input is not a list of components`);
    if (serializeMember(value) !== member.source) {
      throw malformed(
        `The member "${label}" of Signature-Input is not in canonical form (RFC 9651 section 4.1)`,
      );
    }
    const borne = value.parameters.get('tag');
    if (borne?.type !== 'string' || borne.value !== tag) continue;
    if (chosen) throw policy(`Two signatures bear the tag "${tag}"; send one`);
    chosen = { label, member, value };
  }
  if (!chosen) throw policy(`No signature bears the parameter tag="${tag}"; add it`);

  const { label, member, value } = chosen;
  return {
    label,
    components: readComponents(value, MOST_COMPONENTS * roomFor(tag)),
    parameters: readParameters(value.parameters, tag),
    signatureParams: member.source,
    signature: readSignatureBytes(signatureText, label),
    wrongAlgorithm: value.parameters.has('alg') && text(value.parameters.get('alg'), 'alg') !== 'hmac-sha256',
  };
}

function readSignatureBytes(text: string, label: string): Buffer {
  const signatures = parseDictionary(text);
  if (signatures.size > MOST_SIGNATURES)
    throw policy(`Signature has ${signatures.size} members; send at most ${MOST_SIGNATURES}`);
  let bytes: Buffer | undefined;
  for (const [name, { value, source }] of signatures) {
    if (isInnerList(value) || value.bare.type !== 'binary' || value.parameters.size > 0)
      throw malformed(`The member "${name}" of Signature is not a byte sequence`);
    if (serializeItem(value) !== source)
      throw malformed(`The member "${name}" of Signature is not in canonical form`);
    if (name === label) bytes = value.bare.value;
  }
  if (bytes === undefined) throw malformed(`Signature has no member "${label}", which Signature-Input names`);
  return bytes;
}

/** Component lists that clients send again and again are read once. Keyed by their canonical text. */
const knownLists = new Map<string, readonly Component[]>();
const MOST_KNOWN_LISTS = 256;
const NONE: Parameters = new Map();

function readComponents(list: InnerList, most: number): readonly Component[] {
  if (list.items.length > most)
    throw policy(`It covers ${list.items.length} components; cover at most ${most}`);
  const text = serializeMember({ items: list.items, parameters: NONE });
  const known = knownLists.get(text);
  if (known) return known;
  const components = list.items.map(readComponent);
  const identities = new Set<string>();
  for (const item of list.items) {
    const identity = identityOf(item);
    if (identities.has(identity)) throw malformed(`The component ${identity} stands twice in the signature`);
    identities.add(identity);
  }
  if (knownLists.size === MOST_KNOWN_LISTS) knownLists.clear();
  knownLists.set(text, components);
  return components;
}

/** `"a";b;c` and `"a";c;b` are one component: the order of parameters makes no other (RFC 9421 section 2). */
function identityOf(item: Item): string {
  if (item.parameters.size < 2) return serializeItem(item);
  const sorted = [...item.parameters].sort(([a], [b]) => (a < b ? -1 : 1));
  return serializeItem({ bare: item.bare, parameters: new Map(sorted) });
}

const NONCE = /^[A-Za-z0-9_+/=.:~-]{22,128}$/;
const MOST_KEYID = 128;

function readParameters(parameters: Parameters, tag: Tag): SignatureParameters {
  for (const key of parameters.keys()) {
    if (!KNOWN_PARAMETERS.has(key))
      throw policy(`The signature parameter "${key}" is not known here; leave it out`);
  }
  const created = seconds(parameters.get('created'), 'created');
  const expires = seconds(parameters.get('expires'), 'expires');
  const nonce = text(parameters.get('nonce'), 'nonce');
  if (!NONCE.test(nonce)) throw policy('The nonce must match ^[A-Za-z0-9_+/=.:~-]{22,128}$');
  const keyid = text(parameters.get('keyid'), 'keyid');
  if (keyid.length === 0 || keyid.length > MOST_KEYID)
    throw policy(`The keyid must have 1 to ${MOST_KEYID} characters`);
  return { created, expires, nonce, keyid, tag };
}

const KNOWN_PARAMETERS = new Set(['created', 'expires', 'nonce', 'keyid', 'tag', 'alg']);

function seconds(item: BareItem | undefined, name: string): number {
  if (item === undefined) throw policy(`The signature parameter "${name}" is missing; add it`);
  if (item.type !== 'integer' || item.value < 0)
    throw policy(`The signature parameter "${name}" must be a whole number of seconds`);
  return item.value;
}

function text(item: BareItem | undefined, name: string): string {
  if (item === undefined) throw policy(`The signature parameter "${name}" is missing; add it`);
  if (item.type !== 'string') throw policy(`The signature parameter "${name}" must be a string`);
  return item.value;
}

function malformed(detail: string): CountersignError {
  return new CountersignError('signature-malformed', `${detail}.`);
}

function policy(detail: string): CountersignError {
  return new CountersignError('signature-policy', `${detail}.`);
}
