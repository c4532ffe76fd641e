/** Signature-Input and Signature: which signature counts, and what neither field may hold. */
import { describe, expect, it } from 'vitest';
import { type Changes, get, innerList, MAC, present, WITHOUT_BODY } from './requests.ts';
import { holdRules } from './rule-table.ts';

const other = (n: number, tag = 'another') => `x${n}=("@method");created=1;keyid="k";tag="${tag}"`;
const macs = (...labels: string[]) => labels.map((label) => `${label}=${MAC}`).join(', ');

describe('choice of signature', () => {
  const ours = `cs=${innerList(WITHOUT_BODY)}`;
  const theirs = [1, 2, 3, 4].map((n) => other(n));
  const three = theirs.slice(0, 3);
  const three_ = ['x1', 'x2', 'x3'];
  holdRules(get, [
    ['any label', { signatureInput: ours.replace('cs', '*9._-'), signature: `*9._-=${MAC}` }, 'accepted'],
    [
      'three others beside ours',
      { signatureInput: [...three, ours].join(', '), signature: macs(...three_, 'cs') },
      'accepted',
    ],
    [
      'in lines of their own',
      { signatureInput: [ours, ...three], signature: [macs(...three_), macs('cs')] },
      'accepted',
    ],
    ['one that has no Signature', { signatureInput: [ours, ...three] }, 'accepted'],
    [
      'four others beside ours',
      { signatureInput: [ours, ...theirs], signature: macs('cs', 'x1') },
      'signature-policy',
      '5 signatures',
    ],
    [
      'five members of Signature',
      { signature: macs('cs', 'x1', 'x2', 'x3', 'x4') },
      'signature-policy',
      '5 members',
    ],
    ['none with our tag', { signatureInput: other(1), signature: macs('x1') }, 'signature-policy', 'tag='],
    [
      'the tag of a response',
      { parameters: { tag: '"countersign-response-v1"' } },
      'signature-policy',
      'tag=',
    ],
    [
      'the tag of an upstream',
      { parameters: { tag: '"countersign-upstream-v1"' } },
      'signature-policy',
      'tag=',
    ],
    [
      'our tag in upper case',
      { parameters: { tag: '"Countersign-Request-v1"' } },
      'signature-policy',
      'tag=',
    ],
    [
      'our tag on a component alone',
      {
        signatureInput: 'cs=("host";tag="countersign-request-v1");created=1',
        signature: macs('cs'),
      },
      'signature-policy',
      'tag=',
    ],
    [
      'two with our tag',
      { signatureInput: [ours, other(1, 'countersign-request-v1')], signature: macs('cs', 'x1') },
      'signature-policy',
      'Two signatures',
    ],
    ['no field at all', noSignature(true, true), 'signature-missing'],
    ['no Signature', noSignature(false, true), 'signature-malformed', 'go together'],
    ['no Signature-Input', noSignature(true, false), 'signature-malformed', 'go together'],
    ['both fields empty', { signatureInput: '', signature: '' }, 'signature-policy', 'tag='],
    ['no member of the label', { signature: macs('x1') }, 'signature-malformed', 'no member "cs"'],
    ['our label in the other case', { signature: `CS=${MAC}` }, 'signature-malformed', 'parse'],
    ['our label twice in Signature-Input', { signatureInput: [ours, ours] }, 'signature-malformed', 'twice'],
    [
      'another label twice in Signature-Input',
      { signatureInput: [other(1), ours, other(1)] },
      'signature-malformed',
      'twice',
    ],
    ['our label twice in Signature', { signature: [macs('cs'), macs('cs')] }, 'signature-malformed', 'twice'],
    [
      'another label twice in Signature',
      { signature: macs('x1', 'cs', 'x1') },
      'signature-malformed',
      'twice',
    ],
  ]);

  function noSignature(input: boolean, signature: boolean): Changes {
    return { ...(input ? { signatureInput: [] } : {}), ...(signature ? { signature: [] } : {}) };
  }

  it('ignores what the others cover and claim', () => {
    const strange = 'x1=("@status" "x";tr "x";tr "@unknown");created=9999999999;alg="none";what=1.5';
    const presented = present(
      get({ signatureInput: [strange, ours], signature: `x1=:AAAA:, cs=${MAC}` }),
    ).presented;
    expect(presented.label).toBe('cs');
    expect(presented.signature).toEqual(Buffer.alloc(32, 1));
    expect(presented.components.map(({ id }) => id)).toEqual(WITHOUT_BODY);
  });
});

describe('components refused in a request', () => {
  const also = (...alsoCovered: string[]): Changes => ({
    alsoCovered,
    target: '/orders?state=open&state=paid',
  });
  holdRules(get, [
    ['@status', also('"@status"'), 'signature-policy', 'for responses'],
    [';req', also('"@method";req'), 'signature-policy', 'for responses'],
    [';req of a field', also('"host";req'), 'signature-policy', 'for responses'],
    [';req in place of a required one', { covered: ['"@method";req', '"@target-uri"'] }, 'signature-policy'],
    [';tr', also('"host";tr'), 'signature-policy', ';tr'],
    ['@signature-params', also('"@signature-params"'), 'signature-policy', 'not known'],
    ['an unknown derived one', also('"@body"'), 'signature-policy', 'not known'],
    ['"@" alone', also('"@"'), 'signature-policy', 'not known'],
    ['@query-param without a name', also('"@query-param"'), 'signature-policy', ';name'],
    ['@query-param with a token as its name', also('"@query-param";name=state'), 'signature-policy', ';name'],
    [';name on another', also('"@query";name="state"'), 'signature-policy', ';name'],
    [';name on a field', also('"host";name="state"'), 'signature-policy', ';name'],
    [';sf on a derived one', also('"@method";sf'), 'signature-policy', ';sf'],
    [';bs on a derived one', also('"@method";bs'), 'signature-policy', ';bs'],
    [';key on a derived one', also('"@method";key="a"'), 'signature-policy', ';key'],
    [';sf with ;bs', also('"host";sf;bs'), 'signature-policy', ';bs'],
    [';bs with ;key', also('"host";bs;key="a"'), 'signature-policy', ';key'],
    [';key with ;sf', also('"host";key="a";sf'), 'signature-policy', ';sf'],
    [';key without a value', also('"host";key'), 'signature-policy', ';key'],
    [';key as a token', also('"host";key=a'), 'signature-policy', ';key'],
    [';bs=?0', also('"host";bs=?0'), 'signature-policy', ';bs'],
    [';req=?0', also('"host";req=?0'), 'signature-policy', ';req'],
    ['an unknown parameter', also('"host";x'), 'signature-policy', ';x'],
    ['the signature itself', also('"signature"'), 'signature-policy', '"signature"'],
    ['another signature', also('"signature";key="x1"'), 'signature-policy', '"signature"'],
    ['Signature-Input', also('"signature-input"'), 'signature-policy', '"signature-input"'],
    ['a name in upper case', also('"Host"'), 'signature-malformed', 'lower case'],
    ['a name with a space', also('"ho st"'), 'signature-malformed', 'field name'],
    ['an empty name', also('""'), 'signature-malformed', 'field name'],
    ['a token', also('host'), 'signature-malformed', 'not a string'],
    ['a number', also('1'), 'signature-malformed', 'not a string'],
    ['@method twice', also('"@method"'), 'signature-malformed', 'twice'],
    ['a field twice', also('"host"', '"host"'), 'signature-malformed', 'twice'],
    ['a field twice as bytes', also('"host";bs', '"host";bs'), 'signature-malformed', 'twice'],
    [
      'one that differs in the order of parameters alone',
      also('"host";req;key="a"', '"host";key="a";req'),
      'signature-malformed',
      'twice',
    ],
    ['a parameter twice', also('"@query-param";name="a";name="b"'), 'signature-malformed', 'twice'],
    ['one field in two forms', also('"host"', '"host";bs'), 'accepted'],
    ['two members of one field', also('"priority";key="u"', '"priority";key="i"'), 'accepted'],
  ]);
});

describe('canonical form', () => {
  const ours = innerList(WITHOUT_BODY);
  const spelled = (find: string | RegExp, text: string): Changes => {
    const changed = ours.replace(find, text);
    expect(changed).not.toBe(ours);
    return { signatureInput: `cs=${changed}` };
  };
  const notCanonical = 'canonical';
  holdRules(get, [
    ['a space before the first component', spelled('("', '( "'), 'signature-malformed', notCanonical],
    ['a space after the last component', spelled('")', '" )'), 'signature-malformed', notCanonical],
    ['two spaces between components', spelled('" "', '"  "'), 'signature-malformed', notCanonical],
    ['a space before a parameter', spelled(';created', '; created'), 'signature-malformed', notCanonical],
    ['a space around "="', spelled('created=', 'created ='), 'signature-malformed', 'parse'],
    ['a leading zero', spelled('=179', '=0179'), 'signature-malformed', notCanonical],
    ['minus nothing', spelled(/created=\d+/, 'created=-0'), 'signature-malformed', notCanonical],
    ['a flag with its value', spelled('"@method"', '"@method";req=?1'), 'signature-malformed', notCanonical],
    [
      'a flag with its value, last',
      { signatureInput: `cs=${ours};x=?1` },
      'signature-malformed',
      notCanonical,
    ],
    ['a decimal with zeros', { signatureInput: `cs=${ours};x=1.50` }, 'signature-malformed', notCanonical],
    [
      'loose base64 in a parameter',
      { signatureInput: `cs=${ours};x=:AB==:` },
      'signature-malformed',
      notCanonical,
    ],
    [
      "another's signature",
      { signatureInput: [`cs=${ours}`, 'x1=( )'], signature: macs('cs', 'x1') },
      'signature-malformed',
      notCanonical,
    ],
    ['no list of components', { signatureInput: 'cs="@method"' }, 'signature-malformed', 'not a list'],
    ['a flag in place of one', { signatureInput: 'cs' }, 'signature-malformed', 'not a list'],
    [
      "another's without a list",
      { signatureInput: [`cs=${ours}`, 'x1'] },
      'signature-malformed',
      'not a list',
    ],
    ['a comma at the end', { signatureInput: `cs=${ours},` }, 'signature-malformed', 'parse'],
    ['an empty line beside it', { signatureInput: ['', `cs=${ours}`] }, 'signature-malformed', 'parse'],
    ['a list torn into two lines', { signatureInput: ours.split(' ') }, 'signature-malformed', 'parse'],
    ['spaces between members', { signatureInput: `cs=${ours} ,\t${other(1)}` }, 'accepted'],

    ['loose base64', { signature: 'cs=:AB==:' }, 'signature-malformed', notCanonical],
    ['base64 without padding', { signature: 'cs=:AA:' }, 'signature-malformed', 'base64'],
    ['base64url', { signature: 'cs=:-_-_:' }, 'signature-malformed', 'base64'],
    ['base64 without colons', { signature: 'cs=AAAA' }, 'signature-malformed', 'byte sequence'],
    ['a string', { signature: 'cs="AAAA"' }, 'signature-malformed', 'byte sequence'],
    ['a flag', { signature: 'cs' }, 'signature-malformed', 'byte sequence'],
    ['a list', { signature: 'cs=(:AAAA:)' }, 'signature-malformed', 'byte sequence'],
    ['a parameter', { signature: 'cs=:AAAA:;x' }, 'signature-malformed', 'byte sequence'],
    ["another's loose base64", { signature: [`cs=${MAC}`, 'x=:AB==:'] }, 'signature-malformed', notCanonical],
    ["another's string", { signature: [`cs=${MAC}`, 'x="a"'] }, 'signature-malformed', 'byte sequence'],
    ["another's flag", { signature: [`cs=${MAC}`, 'x=?1'] }, 'signature-malformed', 'byte sequence'],
    ['a MAC of another length, which never verifies', { signature: 'cs=:AAAA:' }, 'accepted'],
  ]);
});

describe('limits', () => {
  const names = (n: number) => Array.from({ length: n }, (_, i) => `"x-${i}"`);
  /** Another signature that fills Signature-Input to exactly so many bytes. */
  const filled = (bytes: number): Changes => {
    const ours = `cs=${innerList(WITHOUT_BODY)}, `;
    const frame = 'x1=();keyid=""';
    return { signatureInput: `${ours}x1=();keyid="${'k'.repeat(bytes - ours.length - frame.length)}"` };
  };
  const signature = (bytes: number): Changes => {
    const label = 'x'.repeat(((bytes - `cs=${MAC}, =::`.length) % 4) + 4);
    const rest = bytes - `cs=${MAC}, ${label}=::`.length;
    return { signature: `cs=${MAC}, ${label}=:${'A'.repeat(rest)}:` };
  };
  holdRules(get, [
    ['32 components', { alsoCovered: names(30) }, 'accepted'],
    ['33 components', { alsoCovered: names(31) }, 'signature-policy', '33 components'],
    ['hundreds of components', { alsoCovered: names(400) }, 'signature-malformed', 'more than'],
    ['Signature-Input of 4 KiB', filled(4096), 'accepted'],
    ['Signature-Input of a byte more', filled(4097), 'signature-malformed', '4096 bytes'],
    ['Signature of 2 KiB', signature(2048), 'accepted'],
    ['Signature of a byte more', signature(2049), 'signature-malformed', '2048 bytes'],
  ]);

  it('measures the fields that it means to', () => {
    expect(get(filled(4096)).fields.get('signature-input')).toHaveLength(4096);
    expect(get(signature(2048)).fields.get('signature')).toHaveLength(2048);
    expect(get(signature(2049)).fields.get('signature')).toHaveLength(2049);
  });
});
