/** `profile.yaml`: what it may say, and what it grants. */
import { describe, expect, it } from 'vitest';
import { blankProfile, checkProfile, parseProfile } from '../../src/issuer/profile.ts';
import { refusal } from './refusal.ts';

const PROFILE = `
requesters:
  gateway:
    use: server
    dns: [b.example.org, a.example.org]
    ip: [10.0.0.7]
  shop:
    use: client
    uri: [spiffe://example.org/shop]
    lifetime: 90m
  relay:
    use: both
    dns: [relay.example.org]
`;

const entry = (name: string) => {
  const found = parseProfile(PROFILE, 'profile.yaml').requesters.get(name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};

describe('a profile', () => {
  it('names what each requester may have, and for how long', () => {
    expect(entry('gateway')).toEqual({
      use: 'server',
      dns: ['a.example.org', 'b.example.org'],
      ip: ['10.0.0.7'],
      uri: [],
      lifetime: 12 * 3600,
    });
    expect(entry('shop').lifetime).toBe(90 * 60);
  });

  it('grants nothing as it comes, and its example is one that may be used', () => {
    expect(parseProfile(blankProfile(), 'profile.yaml').requesters.size).toBe(0);
    const example = blankProfile()
      .split('\n')
      .filter((line) => /^# ( |requesters:)/.test(line) && !/^# {3}[a-z]+ {2,}/.test(line))
      .map((line) => line.slice(2))
      .join('\n');
    expect([...parseProfile(example, 'example').requesters.keys()]).toEqual(['gateway', 'shop']);
  });

  it.each([
    [
      'more than 12 hours',
      'requesters:\n  a:\n    use: server\n    dns: [a.test]\n    lifetime: 13h',
      'line 5: requesters.a.lifetime: must be like 12h',
    ],
    [
      'a lifetime of nothing',
      'requesters: {a: {use: server, dns: [a.test], lifetime: 0h}}',
      'must be like 12h',
    ],
    ['a wildcard', 'requesters: {a: {use: server, dns: ["*.a.test"]}}', 'wildcard'],
    ['no names', 'requesters: {a: {use: server}}', 'names nothing'],
    ['another use', 'requesters: {a: {use: ca, dns: [a.test]}}', 'requesters.a.use'],
    ['an unknown word', 'requesters: {a: {use: server, dns: [a.test], ca: true}}', 'requesters.a'],
    ['an unknown section', 'requesters: {}\nroots: {}', 'the file'],
    [
      'a requester that is no file name',
      'requesters: {"../a": {use: server, dns: [a.test]}}',
      'lower-case letters',
    ],
    [
      'the same requester twice',
      'requesters:\n  a: {use: server, dns: [a.test]}\n  a: {use: client, dns: [b.test]}',
      'unique',
    ],
    [
      'the same requester as a number and as a text',
      'requesters:\n  1: {use: server, dns: [a.test]}\n  "1": {use: client, dns: [b.test]}',
      'unique',
    ],
    ['an alias', 'requesters:\n  a: &a {use: server, dns: [a.test]}\n  b: *a', 'aliases'],
    ['no YAML', 'requesters: {', "can't be used"],
    ['nothing', '', "can't be used"],
  ])('is refused with %s', async (_what, text, why) => {
    const { code, detail } = await refusal(() => parseProfile(text, 'profile.yaml'));
    expect([code, detail]).toEqual(['profile-invalid', expect.stringContaining(why)]);
  });
});

describe('an entry grants', () => {
  const names = (dns: string[], ip: string[] = [], uri: string[] = []) => ({ dns, ip, uri });

  it('its names or some of them, for its use', () => {
    expect(() =>
      checkProfile({ names: names(['a.example.org']), use: 'server' }, entry('gateway')),
    ).not.toThrow();
    expect(() =>
      checkProfile({ names: names(['relay.example.org']), use: 'client' }, entry('relay')),
    ).not.toThrow();
  });

  it.each([
    ['a name of another', names(['relay.example.org']), 'server'],
    ['a name below its own', names(['x.a.example.org']), 'server'],
    ['one strange name of two', names(['a.example.org', 'c.example.org']), 'server'],
    ['an address beside its own', names(['a.example.org'], ['10.0.0.8']), 'server'],
    ['a URI with another path', names([], [], ['spiffe://example.org/shop/x']), 'server'],
    ['another use', names(['a.example.org']), 'client'],
    ['both uses, where it has one', names(['a.example.org']), 'both'],
  ] as const)('not %s', async (_what, asked, use) => {
    const { code } = await refusal(() => checkProfile({ names: asked, use }, entry('gateway')));
    expect(code).toBe('certificate-request-refused');
  });
});
