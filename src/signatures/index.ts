/**
 * The `countersign/signatures` export: the wire profile of RFC 9421, pure and free of dependencies.
 * @module
 */
export { CountersignError, type ErrorCode } from '../errors.ts';
export {
  type Component,
  componentValue,
  pathOf,
  type RequestMessage,
  type ResponseMessage,
} from './components.ts';
export { contentDigest, readContentDigest, verifyContentDigest } from './content-digest.ts';
export { Fields } from './fields.ts';
export { generateSecret, secretKey } from './hmac.ts';
export {
  type CountersignedOptions,
  type CountersignedState,
  countersigned,
  type KoaLikeContext,
} from './koa-middleware.ts';
export {
  MemoryNonces,
  type NonceGuard,
  type PlainHeaders,
  type PlainRequest,
  type PlainResponse,
  type SharedKey,
  type SignedMessage,
  type SignedRequest,
  type SignOptions,
  signMessage,
  type VerifyOptions,
  verifyMessage,
} from './message.ts';
export { type CoveragePolicy, judgeTimes, type LifePolicy } from './request-profile.ts';
export {
  component,
  defaultComponents,
  type RequestSigning,
  type SignedFields,
  signRequest,
  signResponse,
} from './sign.ts';
export { type Covered, coverComponents, signatureBase } from './signature-base.ts';
export {
  type PresentedSignature,
  readSignature,
  type SignatureParameters,
  type Tag,
} from './signature-input.ts';
export { checkTarget } from './target.ts';
export {
  type PresentedRequest,
  presentRequest,
  type VerifiedRequest,
  verifyRequest,
} from './verify-request.ts';
export type { VerifiedResponse } from './verify-response.ts';
