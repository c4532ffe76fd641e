/**
 * Holds answers against the document of the API.
 * @module
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { ApiDocument } from '../../src/gateway/routes/management/openapi.ts';

export interface Answered {
  readonly method: string;
  /** As the document names it. */
  readonly path: string;
  readonly status: number;
  readonly type: string | undefined;
  /** Undefined where there is none. */
  readonly body: unknown;
}

/** What an answer has that the document doesn't say; empty where it is as the document says. */
export function faultsOf(document: ApiDocument, { method, path, status, type, body }: Answered): string {
  const operation = document.paths[path]?.[method.toLowerCase()];
  if (!operation) return `${method} ${path} is not in the document`;
  const response = (operation.responses[status] ?? operation.responses.default) as {
    content?: Record<string, { schema: object }>;
  };
  if (body === undefined) return response.content ? `${method} ${path} ${status} should have content` : '';
  const schema = response.content?.[(type ?? '').split(';')[0] as string]?.schema;
  if (!schema) return `${method} ${path} ${status}: ${type} is not in the document`;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const check = ajv.compile({ ...schema, components: document.components });
  return check(body)
    ? ''
    : `${method} ${path} ${status}: ${ajv.errorsText(check.errors)} in ${JSON.stringify(body)}`;
}

/** The path of the document that a target fits; undefined where none does. */
export function documentedPath({ paths }: ApiDocument, target: string): string | undefined {
  const path = target.split('?', 1)[0] as string;
  if (paths[path]) return path;
  return Object.keys(paths).find((each) =>
    new RegExp(`^${each.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
}
