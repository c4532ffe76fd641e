/** The client's types, as its callers meet them. The type checker is what fails here. */
import { expectTypeOf, it } from 'vitest';
import {
  CountersignError,
  type ErrorCode,
  ResponseError,
  type SignedFetch,
  type SignedInit,
  signedFetch,
} from '../../src/client/index.ts';

it('a signed fetch stands wherever fetch does', () => {
  expectTypeOf<SignedFetch>().toMatchTypeOf<typeof fetch>();
  expectTypeOf<ReturnType<typeof signedFetch>>().toEqualTypeOf<SignedFetch>();
  expectTypeOf<RequestInit>().toMatchTypeOf<SignedInit>();
  expectTypeOf<SignedInit['idempotencyKey']>().toEqualTypeOf<string | undefined>();
});

it('an error has its code, and one that an answer caused its status and whether it is verified', () => {
  expectTypeOf<ResponseError>().toMatchTypeOf<CountersignError>();
  expectTypeOf<ResponseError['verified']>().toEqualTypeOf<boolean>();
  expectTypeOf<ResponseError['status']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<
    'response-invalid' | 'response-unsigned' | 'clock-skew' | 'timeout'
  >().toMatchTypeOf<ErrorCode>();
  // @ts-expect-error: a code that nobody raises
  expectTypeOf<'response-odd'>().toMatchTypeOf<ErrorCode>();
  const tell = (error: unknown) =>
    error instanceof ResponseError
      ? error.status
      : error instanceof CountersignError
        ? error.code
        : undefined;
  expectTypeOf(tell).returns.toEqualTypeOf<number | ErrorCode | undefined>();
});

it('credentials take base64 or bytes', () => {
  expectTypeOf(signedFetch).parameter(0).toHaveProperty('secret').toEqualTypeOf<string | Uint8Array>();
  // @ts-expect-error: a secret that is neither
  expectTypeOf<number>().toMatchTypeOf<Parameters<typeof signedFetch>[0]['secret']>();
});
