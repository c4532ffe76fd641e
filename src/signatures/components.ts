/**
 * Message components (RFC 9421 section 2): what a signature can cover, and the value that each has in a message.
 * @module
 */
import { CountersignError } from '../errors.ts';
import type { Fields } from './fields.ts';
import {
  type InnerList,
  type Item,
  isInnerList,
  parseDictionary,
  parseItem,
  parseList,
  serializeItem,
  serializeMember,
} from './structured-fields.ts';

/** A request as it stood on the wire. `target` is the raw request target; `authority` carries no default port. */
export interface RequestMessage {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly target: string;
  readonly fields: Fields;
}

/** A response together with the request that it answers, which `;req` components speak of. */
export interface ResponseMessage {
  readonly status: number;
  readonly fields: Fields;
  readonly request: RequestMessage;
}

/** A covered component. `id` is its canonical serialisation, parameters included. */
export interface Component {
  readonly name: string;
  readonly id: string;
  /** Speaks of the request that a response answers. */
  readonly ofRequest: boolean;
  /** `name` of `@query-param`. */
  readonly query?: string;
  /** How a field's value is taken: as it stands, strictly serialised, one dictionary member, or as bytes. */
  readonly form: 'plain' | 'sf' | 'bs' | { readonly key: string };
}

const DERIVED_OF_REQUESTS = new Set([
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@request-target',
  '@path',
  '@query',
  '@query-param',
]);

/** Fields whose structured type is known, for `;sf` (RFC 9421 section 2.1.1). Others can't take it. */
const STRUCTURED: Readonly<Record<string, 'dictionary' | 'list' | 'item'>> = {
  'accept-signature': 'dictionary',
  'cache-status': 'list',
  'client-cert': 'item',
  'content-digest': 'dictionary',
  'idempotency-key': 'item',
  priority: 'dictionary',
  'repr-digest': 'dictionary',
  signature: 'dictionary',
  'signature-input': 'dictionary',
  'want-content-digest': 'dictionary',
  'want-repr-digest': 'dictionary',
};

const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** Reads one item of a covered-components list. */
export function readComponent(item: Item): Component {
  if (item.bare.type !== 'string') {
    throw new CountersignError('signature-malformed', 'A covered component is not a string.');
  }
  const name = item.bare.value;
  const id = serializeItem(item);
  let query: string | undefined;
  let ofRequest = false;
  let form: Component['form'] = 'plain';
  for (const [key, value] of item.parameters) {
    const flag = value.type === 'boolean' && value.value;
    if (key === 'req' && flag) ofRequest = true;
    else if (key === 'name' && name === '@query-param' && value.type === 'string') query = value.value;
    else if (name.startsWith('@') || form !== 'plain') throw notAllowed(id, `can't take ";${key}" here`);
    else if ((key === 'sf' || key === 'bs') && flag) form = key;
    else if (key === 'key' && value.type === 'string') form = { key: value.value };
    else throw notAllowed(id, `can't take ";${key}" here`);
  }
  if (name.startsWith('@')) {
    if (!DERIVED_OF_REQUESTS.has(name) && name !== '@status') throw notAllowed(id, 'is not known here');
    if (name === '@query-param' && query === undefined) throw notAllowed(id, 'needs ";name"');
  } else if (!FIELD_NAME.test(name)) {
    throw new CountersignError('signature-malformed', `${id} is not a field name in lower case.`);
  }
  return query === undefined ? { name, id, ofRequest, form } : { name, id, ofRequest, form, query };
}

function notAllowed(id: string, why: string): CountersignError {
  return new CountersignError(
    'signature-policy',
    `The component ${id} ${why}; leave it out of the signature.`,
  );
}

/** The component's value in the message (RFC 9421 sections 2.1 and 2.2); throws where it has none. */
export function componentValue(component: Component, message: RequestMessage | ResponseMessage): string {
  if ('status' in message) {
    if (component.ofRequest) return requestValue(component, message.request);
    if (component.name === '@status') return String(message.status);
    if (component.name.startsWith('@')) throw notAllowed(component.id, 'is not one of a response');
    return fieldValue(component, message.fields);
  }
  return requestValue(component, message);
}

function requestValue(component: Component, message: RequestMessage): string {
  switch (component.name) {
    case '@method':
      return message.method;
    case '@target-uri':
      return `${message.scheme}://${message.authority}${message.target}`;
    case '@authority':
      return message.authority;
    case '@scheme':
      return message.scheme;
    case '@request-target':
      return message.target;
    case '@path':
      return pathOf(message.target);
    case '@query':
      return message.target.slice(pathOf(message.target).length) || '?';
    case '@query-param':
      return queryParameter(message.target, component);
    default:
      if (component.name.startsWith('@')) throw notAllowed(component.id, 'is not one of a request');
      return fieldValue(component, message.fields);
  }
}

export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query === -1 ? target : target.slice(0, query);
}

/** RFC 9421 section 2.2.8: decoded as a form is, found by its name, encoded again. */
function queryParameter(target: string, component: Component): string {
  const query = target.slice(pathOf(target).length + 1);
  const wanted = component.query as string;
  let found: string | undefined;
  for (const [name, value] of new URLSearchParams(query)) {
    if (encodeParameter(name) !== wanted) continue;
    if (found !== undefined) throw notAllowed(component.id, 'stands twice in the query');
    found = encodeParameter(value);
  }
  if (found === undefined) throw absent(component.id);
  return found;
}

/** The percent-encode set of application/x-www-form-urlencoded, with a space as %20. */
function encodeParameter(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function fieldValue(component: Component, fields: Fields): string {
  const value = fields.get(component.name);
  if (value === undefined) throw absent(component.id);
  if (component.form === 'plain') return value;
  if (component.form === 'bs') {
    return fields
      .lines(component.name)
      .map((line) => `:${Buffer.from(line, 'latin1').toString('base64')}:`)
      .join(', ');
  }
  if (component.form === 'sf') return strictlySerialised(component, value);
  const member = parseDictionary(value).get(component.form.key);
  if (member === undefined) throw absent(component.id);
  return serializeMember(member.value);
}

function strictlySerialised(component: Component, value: string): string {
  switch (STRUCTURED[component.name]) {
    case 'dictionary':
      return [...parseDictionary(value)]
        .map(([key, { value: member }]) => dictionaryMember(key, member))
        .join(', ');
    case 'list':
      return parseList(value)
        .map((member) => serializeMember(member.value))
        .join(', ');
    case 'item':
      return serializeItem(parseItem(value));
    default:
      throw notAllowed(component.id, 'can\'t take ";sf": the field\'s structured type is not known here');
  }
}

function dictionaryMember(key: string, value: Item | InnerList): string {
  const text = serializeMember(value);
  const isTrue = !isInnerList(value) && value.bare.value === true;
  return isTrue ? key + text.slice('?1'.length) : `${key}=${text}`;
}

function absent(id: string): CountersignError {
  return new CountersignError(
    'signature-policy',
    `The signature covers ${id}, which the message doesn't carry; something on the way may have dropped it.`,
  );
}
