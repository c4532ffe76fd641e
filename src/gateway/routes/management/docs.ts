/**
 * The document of the API as one page: no script, nothing from elsewhere.
 * @module
 */
import { createHash } from 'node:crypto';
import type { ApiPages } from '../own.ts';
import type { ApiDocument, Operation } from './openapi.ts';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f23; }
h2 { border-bottom: 1px solid #d0d7de; margin-top: 3rem; text-transform: capitalize; }
h3 { font-size: 1rem; margin-top: 2rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: #f6f8fa; padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; }
td { padding: .15rem .75rem .15rem 0; vertical-align: top; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 600; }
`;

/** Styles by their hash; scripts, frames, forms and fetches not at all. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Made once, at the first request; `document` is asked then. */
export function apiPages(document: () => ApiDocument): ApiPages {
  let json: string | undefined;
  let html: string | undefined;
  return {
    json() {
      json ??= JSON.stringify(document());
      return json;
    },
    page() {
      html ??= pageOf(document());
      return { html, contentSecurityPolicy: POLICY };
    },
  };
}

function pageOf({ info, paths, components }: ApiDocument): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const tags = [...new Set(operations.map(({ operation }) => tagOf(operation)))];
  const sections = tags.map((tag) => {
    const own = operations.filter(({ operation }) => tagOf(operation) === tag);
    const parts = own.map(({ method, path, operation }) => operationPart(method, path, operation));
    return `<section><h2>${escaped(tag)}</h2>${parts.join('')}</section>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escaped(info.title)} API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${STYLE}</style></head><body>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>${escaped(info.description)} For programs: <a href="/openapi.json">/openapi.json</a>.</p>
<p>${escaped(signingOf(components))}</p>
${sections.join('\n')}
</body></html>
`;
}

function tagOf(operation: Operation): string {
  return String((operation.tags as readonly string[])[0]);
}

function signingOf(components: unknown): string {
  const { securitySchemes } = components as { securitySchemes: { signature: { description: string } } };
  return securitySchemes.signature.description;
}

function operationPart(method: string, path: string, operation: Operation): string {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const kinds = (operation.security as readonly Readonly<Record<string, unknown>>[]).flatMap(Object.keys);
  const role = kinds.length === 0 ? 'none' : `${operation['x-countersign-role']} (${kinds.join(', ')})`;
  const rows = parameters.map(
    ({ name, in: place, required, description: what = '' }) =>
      `<tr><td><code>${escaped(name)}</code></td><td>${escaped(place)}${required ? ', required' : ''}</td><td>${escaped(what)}</td></tr>`,
  );
  const answers = Object.entries(responses).map(
    ([status, answer]) =>
      `<tr><td><code>${escaped(status)}</code></td><td>${escaped(answer.description)}</td></tr>${contentRow(answer)}`,
  );
  return `<article id="${escaped(operationId)}">
<h3><code><span class="method">${escaped(method.toUpperCase())}</span> ${escaped(path)}</code></h3>
<p>${escaped(summary)}. ${escaped(description ?? '')} Role: <code>${escaped(role)}</code></p>
${rows.length > 0 ? `<table>${rows.join('')}</table>` : ''}
${requestBody ? `<p>Body</p>${schemaBlock(requestBody)}` : ''}
<p>Answers</p><table>${answers.join('')}</table></article>`;
}

function contentRow(answer: Readonly<Record<string, unknown>>): string {
  const block = schemaBlock(answer);
  return block && `<tr><td></td><td>${block}</td></tr>`;
}

/** The schema of JSON content; problems are the same everywhere, and told once, in the README's table. */
function schemaBlock(holder: Readonly<Record<string, unknown>>): string {
  const content = (holder.content ?? {}) as Readonly<Record<string, { readonly schema: unknown }>>;
  const json = content['application/json'];
  return json ? `<pre>${escaped(JSON.stringify(json.schema, null, 2))}</pre>` : '';
}

function escaped(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
