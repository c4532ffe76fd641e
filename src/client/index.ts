/**
 * The `countersign/client` export: calling a gateway, with the request signed and the answer verified. It needs
 * nothing but Node.
 * @module
 */

export { CountersignError, type ErrorCode } from '../errors.ts';
export type { Certificate, CertificateUse } from './certificate/certificate.ts';
export type { CertificateNames } from './certificate/certificate-request.ts';
export type { Pacing, RenewalEvent } from './certificate/renewal.ts';
export {
  type RenewingCertificate,
  type RenewingCertificateOptions,
  renewingCertificate,
} from './certificate/renewing-certificate.ts';
export {
  type Credentials,
  readCredentials,
  readCredentialsFile,
  type SigningKey,
  signingKey,
} from './credentials.ts';
export { type Exchange, type ExchangeOptions, exchange } from './exchange.ts';
export { openResponse } from './open-response.ts';
export { guardPlainHttp, isLoopback } from './plain-http.ts';
export { type PreparationOptions, type PreparedRequest, prepareRequest } from './prepared-request.ts';
export { draftRequest, type RequestDraft, type RequestParts, type SignedInit } from './request-draft.ts';
export { ResponseError } from './response-error.ts';
export { type SignedFetch, type SignedFetchOptions, signedFetch } from './signed-fetch.ts';
export {
  type ClientIdentity,
  createTransport,
  type ReceivedResponse,
  type SentRequest,
  type TlsOptions,
  type Transport,
} from './transport.ts';
