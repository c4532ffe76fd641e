/**
 * The page that a browser gets where nothing is served: what is wrong, and where to go next. Programs get the problem
 * document (gateway/refusals.ts).
 * @module
 */
import { createHash } from 'node:crypto';
import type { RefusalCode } from '../errors.ts';
import type { Context } from './call.ts';
import { PROBLEM_TYPE } from './refusals.ts';

const STYLE = `
body { font: 18px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem; color: #1b1f23; }
h1 { font-size: 1.5rem; }
code { font: 16px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } a { color: #79c0ff; } }
`;

/** This style alone; no script, nothing from elsewhere, in nobody's frame. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const TITLES: Readonly<Partial<Record<RefusalCode, string>>> = {
  'not-found': 'Nothing is here',
  'method-not-allowed': 'Not in this way',
};

/**
 * Whether the caller reads rather HTML than a problem document: by its Accept field, where the one that stands first
 * counts of two that it likes as well. A signed call is a program's, whatever it accepts.
 */
export function wantsPage(ctx: Context, code: RefusalCode): boolean {
  if (ctx.state.verified || TITLES[code] === undefined) return false;
  ctx.vary('Accept');
  return ctx.accepts(PROBLEM_TYPE, 'application/json', 'text/html') === 'text/html';
}

/** Makes the page the answer. @param detail what a program is told. */
export function sendPage(ctx: Context, code: RefusalCode, detail: string): void {
  ctx.set('Content-Type', 'text/html; charset=utf-8');
  ctx.set('Content-Security-Policy', POLICY);
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set('Referrer-Policy', 'no-referrer');
  ctx.body = pageOf(TITLES[code] ?? code, ctx.state.requestId, detail);
}

function pageOf(title: string, requestId: string, detail: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body>
<h1>${title}</h1>
<p>${escaped(detail)}</p>
<p>This is a Countersign gateway. <a href="/docs">What it answers</a> is written down, and whether it can serve at this
moment <a href="/readyz">is told</a>. Who runs it finds this call in its log as <code>${escaped(requestId)}</code>.</p>
</body></html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
