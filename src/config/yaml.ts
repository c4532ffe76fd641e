/**
 * The configuration file's text and its YAML document, read within bounds.
 * @module
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import type { Faults, Position } from './faults.ts';

const MOST_BYTES = 1024 * 1024;
const MOST_ALIASES = 100;
const MOST_DEPTH = 100;

export interface Yaml {
  readonly document: Document;
  readonly lines: LineCounter;
  /** The document as plain values. */
  readonly content: Readonly<Record<string, unknown>>;
}

/**
 * Reads a file; what is wrong with it goes to `faults`.
 * @param name relative to `cwd`, or absolute.
 * @returns undefined where the text can't be understood as settings at all.
 */
export function readYaml(name: string, cwd: string, faults: Faults): Yaml | undefined {
  const text = readText(resolve(cwd, name), faults);
  if (text === undefined) return undefined;
  const lines = new LineCounter();
  const broken = (detail: string, offset = 0) => {
    faults.add('', detail, place(lines, offset));
    return undefined;
  };
  if (nestsTooDeep(text)) return broken(`It is nested more than ${MOST_DEPTH} levels deep.`);

  // The library's own search for repeated keys is quadratic: a minute for half a megabyte (measured).
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const problems = [...document.errors, ...document.warnings];
  for (const { message, pos } of problems) broken(`${message.replace(/\.$/, '')}.`, pos[0]);
  if (problems.length > 0 || !isPlain(document, broken)) return undefined;
  if (document.contents !== null && !isMap(document.contents)) {
    return broken('It must hold settings, such as port: 8080.');
  }
  try {
    return { document, lines, content: document.toJS({ maxAliasCount: MOST_ALIASES }) ?? {} };
  } catch {
    return broken('Its aliases grow beyond measure; write the values out.');
  }
}

export function place(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/**
 * Tells repeated keys, and what can't become plain settings.
 * @returns whether the document can become plain settings.
 */
function isPlain(document: Document, fault: (detail: string, offset: number) => void): boolean {
  const anchors = new Set<string>();
  let plain = true;
  const notPlain = (detail: string, node: Node) => {
    plain = false;
    fault(detail, node.range?.[0] ?? 0);
  };
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) {
        if (!anchors.has(node.source)) notPlain(`Nothing before it is anchored as &${node.source}.`, node);
      } else if (node.anchor !== undefined) anchors.add(node.anchor);
    },
    Map(_, map) {
      if (map.anchor !== undefined) anchors.add(map.anchor);
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) {
          notPlain('A key must be a plain word.', isNode(key) ? key : map);
          continue;
        }
        const name = String(key.value);
        if (seen.has(name)) fault(`"${name}" stands twice; keep one.`, key.range?.[0] ?? 0);
        seen.add(name);
      }
    },
  });
  return plain;
}

function readText(path: string, faults: Faults): string | undefined {
  const bytes = Buffer.alloc(MOST_BYTES + 1);
  let length = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (let read = -1; read !== 0 && length < bytes.length; length += read) {
        read = readSync(file, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    faults.add(
      'COUNTERSIGN_CONFIG',
      `${path} can't be read (${code}); name a readable YAML file, or unset it`,
    );
    return undefined;
  }
  if (length > MOST_BYTES) {
    faults.add('COUNTERSIGN_CONFIG', `${path} is larger than 1 MiB, which no configuration needs`);
    return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
  } catch {
    faults.add('COUNTERSIGN_CONFIG', `${path} is not UTF-8; save it as UTF-8`);
    return undefined;
  }
}

/**
 * The YAML library composes recursively, and at some thousand levels takes the whole process with it (measured), so
 * nesting is estimated first: open brackets, indentation, and dashes in a row.
 */
function nestsTooDeep(text: string): boolean {
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    if (bracket === '[' || bracket === '{') open++;
    else if (open > 0) open--;
    if (open > MOST_DEPTH) return true;
  }
  return /^ {400}/m.test(text) || /(?:[-?:][ \t]+){100}/.test(text);
}
