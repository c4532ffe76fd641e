/**
 * The library's face: starting a gateway inside another program.
 * @module
 */
export { type Config, type LoadOptions, loadConfig } from './config/config.ts';
export { CountersignError, type ErrorCode, type RefusalCode, refusalCodes } from './errors.ts';
export type { ApiInput as EndpointInput } from './gateway/routes/api-input.ts';
export type { Endpoint } from './gateway/routes/endpoint-route.ts';
export type { HostEndpoint } from './gateway/routes/host-endpoints.ts';
export type { StartUpTask } from './gateway/start-up.ts';
export type { Deliver } from './idempotency/delivery.ts';
export type { Circumstances, EndpointResult, IdempotentEndpoint } from './idempotency/endpoint.ts';
export type { Outbox, OutboxMessage } from './idempotency/outbox.ts';
export type { Documents, Json } from './idempotency/state.ts';
export { type Gateway, type GatewayOptions, startGateway } from './main.ts';
export type { Transaction } from './storage/unit-of-work.ts';
