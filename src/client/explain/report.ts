/**
 * An explanation as text: the two bases line by line, the first difference under a caret, and the causes.
 * @module
 */
import type { ComparedLine } from './comparison.ts';
import type { Explanation } from './diagnosis.ts';

const MARKS = { same: '=', different: '!', 'cannot-compare': '?' } as const;
/** As wide as a line's number and mark. */
const INDENT = ' '.repeat(7);

export function reportOf(explanation: Explanation): string {
  const { components, firstDifference, causes, macHolds, notes } = explanation;
  const gatewayKnown = components.some(({ gateway }) => gateway !== null);
  const blocks: string[] = [];
  if (components.length > 0) {
    const lines = components.flatMap((line, i) => {
      const isFirst = firstDifference?.line === i + 1;
      return lineText(line, i + 1, gatewayKnown, isFirst ? firstDifference.column : undefined);
    });
    blocks.push(['Signature base', ...lines].join('\n'));
  }
  if (macHolds !== null) {
    blocks.push(
      macHolds
        ? 'The MAC in the file holds over this base with the secret of the credentials.'
        : 'The MAC in the file does NOT hold over this base with the secret of the credentials.',
    );
  }
  if (firstDifference) {
    const { id, line, column } = firstDifference;
    blocks.push(
      `First difference: line ${line}, ${printed(id)}${column === null ? '' : `, column ${column}`}`,
    );
  }
  for (const { code, detail } of causes) blocks.push(`Cause: ${code}\n  ${printed(detail)}`);
  if (causes.length === 0) {
    blocks.push(
      gatewayKnown
        ? 'Nothing is wrong.'
        : 'Nothing is wrong in the file itself. What the gateway computed is not known.',
    );
  }
  if (notes.length > 0) blocks.push(notes.map((note) => `Note: ${printed(note)}`).join('\n'));
  return blocks.join('\n\n');
}

/** @param column of the first difference; null where it has none, undefined where the line isn't the first. */
function lineText(
  { id, ours, gateway, verdict }: ComparedLine,
  number: number,
  gatewayKnown: boolean,
  column: number | null | undefined,
): string[] {
  const name = printed(id);
  const text = (value: string | null) => (value === null ? '(no such line)' : `${name}: ${printed(value)}`);
  const start = `${String(number).padStart(3)} ${gatewayKnown ? MARKS[verdict] : ' '}  `;
  if (verdict === 'same' || !gatewayKnown) return [start + text(ours)];
  if (verdict === 'cannot-compare') {
    const shown =
      gateway === null ? "the gateway's base was cut before it" : `the gateway shows ${printed(gateway)}`;
    return [start + text(ours), `${INDENT}can't compare: ${shown}`];
  }
  const labels = ['file     ', 'gateway  '] as const;
  const lines = [`${start}${labels[0]}${text(ours)}`, `${INDENT}${labels[1]}${text(gateway)}`];
  if (column === undefined) return lines;
  const at = column ?? id.length + ': '.length + 1;
  const isWhole = ours === null || gateway === null;
  return [...lines, `${INDENT}${' '.repeat(labels[1].length + (isWhole ? 0 : at - 1))}^`];
}

/** As many characters as it had, and nothing that a terminal acts upon. */
function printed(text: string): string {
  return text.replaceAll('\t', '␉').replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '�');
}
