/**
 * One question to a gateway that may be running: is it ready, and what time is it there?
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { type RequestOptions as TlsRequestOptions, request as tlsRequest } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { Config } from '../config/config.ts';
import { trustFile } from '../gateway/tls/gateway-certificate.ts';

const TIMEOUT_MS = 2000;
/** Of the connection: nobody is there, or it isn't what was expected. */
const NOBODY = /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT)$/;

export type Probe =
  | { readonly status: number /** Epoch seconds. */; readonly date: number; readonly fault?: undefined }
  | { /** Why no TLS could be spoken with it. */ readonly fault: string };

/** @returns undefined where nothing answers. */
export async function probeGateway({ host, port, data, tls }: Config): Promise<Probe | undefined> {
  const options = { host, port, path: '/readyz', timeout: TIMEOUT_MS };
  const trust = trustFile(data);
  if (!tls) {
    const plain = await ask(request, options);
    if (!plain) return undefined;
    // It may have been started with --tls: then it says that plain HTTP is a bad request.
    const isTls = plain.fault !== undefined || plain.status === 400;
    if (!isTls || !existsSync(trust)) return plain.fault === undefined ? plain : undefined;
  }
  const { names } = tls ?? { names: ['localhost'] };
  const name = names.find((each) => isIP(each) === 0);
  const ca = existsSync(trust) ? readFileSync(trust) : undefined;
  return ask(tlsRequest, {
    ...options,
    ...(ca && { ca }),
    // A name is sent; an address isn't, nor need it be the one that is listened on.
    servername: name ?? '',
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name ?? names[0] ?? host, certificate),
  });
}

function ask(send: typeof request, options: TlsRequestOptions): Promise<Probe | undefined> {
  return new Promise((resolve) => {
    const probing = send(options, (response) => {
      response.resume();
      const date = Math.floor(Date.parse(response.headers.date ?? '') / 1000);
      resolve({ status: response.statusCode ?? 0, date });
    });
    probing.on('timeout', () => probing.destroy());
    probing.on('error', ({ code = 'no answer', message }: NodeJS.ErrnoException) => {
      if (NOBODY.test(code)) resolve(undefined);
      else resolve({ fault: `${message} (${code})` });
    });
    probing.end();
  });
}
