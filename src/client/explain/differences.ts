/**
 * From a line of the base that differs to what usually makes it differ.
 * @module
 */
import { pathOf } from '../../signatures/components.ts';
import type { Cause, FoundCause } from './cause.ts';
import { type ComparedLine, maskedLength } from './comparison.ts';
import type { RecordedRequest } from './recorded-request.ts';
import { fieldVariants, sameButForEscapes } from './variants.ts';

/** What each line that differs points at, in the order of the base. */
export function causesOfDifferences(lines: readonly ComparedLine[], recorded: RecordedRequest): Cause[] {
  return lines.filter(({ verdict }) => verdict === 'different').flatMap((line) => causesOf(line, recorded));
}

function causesOf({ id, ours, gateway }: ComparedLine, recorded: RecordedRequest): Cause[] {
  const name = /^"([^"]*)"/.exec(id)?.[1] ?? id;
  if (ours === null || gateway === null) return [oneSided(id, name, ours)];
  switch (name) {
    case '@method':
      return [
        changed(
          'method-changed',
          'the method',
          ours,
          gateway,
          'Look for a redirect, or a proxy that turns one method into another',
        ),
      ];
    case '@target-uri':
      return targetUri(ours, gateway);
    case '@scheme':
      return scheme(ours, gateway);
    case '@authority':
      return authority(ours, gateway);
    case '@path':
      return path(ours, gateway);
    case '@query':
    case '@query-param':
      return query(ours, gateway);
    case '@request-target':
      return target(ours, gateway);
    case '@signature-params':
      return [
        changed(
          'parameters-changed',
          "the signature's parameters",
          ours,
          gateway,
          'Something rewrote Signature-Input on the way',
        ),
      ];
    case 'content-digest':
      return [
        changed(
          'body-changed',
          'Content-Digest',
          ours,
          gateway,
          'Something on the way serialised the body anew, or compressed it, and computed another digest; let it pass the bytes',
        ),
      ];
    default:
      return [field(id, name, ours, gateway, recorded)];
  }
}

function oneSided(id: string, name: string, ours: string | null): Cause {
  if (name.startsWith('@')) {
    return {
      code: 'parameters-changed',
      detail: `Only ${ours === null ? 'the gateway' : 'the file'} has a line ${id}. Are both of one message?`,
    };
  }
  return ours === null
    ? {
        code: 'header-dropped',
        detail: `The signature covers ${id}, and the file has no such field, while the gateway got one. Something left it out where this was recorded, or added it on the way.`,
      }
    : { code: 'header-dropped', detail: `The gateway's base has no line ${id}. Is it of the same message?` };
}

function targetUri(ours: string, gateway: string): Cause[] {
  const [a, b] = [split(ours), split(gateway)];
  return [
    ...scheme(a.scheme, b.scheme),
    ...authority(a.authority, b.authority),
    ...target(a.target, b.target),
  ];
}

function split(uri: string) {
  const [, scheme = '', authority = '', target = uri] = /^([a-z]*):\/\/([^/?]*)(.*)$/i.exec(uri) ?? [];
  return { scheme, authority, target };
}

function scheme(ours: string, gateway: string): Cause[] {
  if (ours === gateway) return [];
  return [
    changed(
      'scheme-changed',
      'the scheme',
      ours,
      gateway,
      "A proxy that ends TLS must send X-Forwarded-Proto, and stand in the gateway's trustedProxies",
    ),
  ];
}

function authority(ours: string, gateway: string): Cause[] {
  if (ours === gateway) return [];
  return [
    changed(
      'host-changed',
      'the host',
      ours,
      gateway,
      'A proxy on the way changed Host: let it pass Host as it came (nginx: proxy_set_header Host $http_host; Apache: ProxyPreserveHost On)',
    ),
  ];
}

function target(ours: string, gateway: string): Cause[] {
  const [a, b] = [pathOf(ours), pathOf(gateway)];
  return [...path(a, b), ...query(ours.slice(a.length), gateway.slice(b.length))];
}

function path(ours: string, gateway: string): Cause[] {
  if (ours === gateway) return [];
  return sameButForEscapes(ours, gateway)
    ? [
        changed(
          'path-escapes-changed',
          "the path's escapes",
          ours,
          gateway,
          'A proxy on the way decodes the path and encodes it again: let it pass the path as it came (nginx: proxy_pass without a URI), or sign the form that it makes',
        ),
      ]
    : [
        changed(
          'path-changed',
          'the path',
          ours,
          gateway,
          'A proxy on the way rewrites or normalises it: sign the path that comes to the gateway, or stop the rewriting',
        ),
      ];
}

function query(ours: string, gateway: string): Cause[] {
  if (ours === gateway) return [];
  const isEmpty = (text: string) => text === '' || text === '?';
  const isMissing = isEmpty(ours) || isEmpty(gateway) || ours === `?${gateway}` || gateway === `?${ours}`;
  return isMissing
    ? [
        changed(
          'query-missing',
          'the query',
          ours || 'nothing',
          gateway || 'nothing',
          'One side lacks the "?" and what follows it. A bare "?" is dropped by many: leave it out before signing. @query begins with its "?"',
        ),
      ]
    : [
        changed(
          'query-changed',
          'the query',
          ours,
          gateway,
          'Something on the way sorts or encodes it anew: let it pass the query as it came',
        ),
      ];
}

function field(id: string, name: string, ours: string, gateway: string, recorded: RecordedRequest): Cause {
  const lines = recorded.lines.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  const length = maskedLength(id, gateway);
  const variant = fieldVariants(lines).find(({ value }) =>
    length === undefined ? value === gateway : value.length === length,
  );
  const code: FoundCause = variant?.code ?? (lines.length > 1 ? 'header-joined' : 'header-changed');
  const what =
    length === undefined
      ? `The file has ${id} as ${JSON.stringify(ours)}, and the gateway got ${JSON.stringify(gateway)}`
      : `The file's ${id} has ${ours.length} bytes, and the gateway's ${length}`;
  const how = variant ? `: ${length === undefined ? '' : 'just as long as '}it is ${variant.how}` : '';
  const repeated =
    lines.length > 1 ? ` It stands on ${lines.length} lines: send it on one, joined by ", ".` : '';
  return {
    code,
    detail: `${what}${how}. Something on the way rewrites the field: stop that, or don't cover it.${repeated}`,
  };
}

function changed(code: FoundCause, what: string, ours: string, gateway: string, advice: string): Cause {
  return {
    code,
    detail: `The file has ${what} as ${JSON.stringify(ours)}, and the gateway got ${JSON.stringify(gateway)}. ${advice}.`,
  };
}
