/**
 * The library's face: starting a gateway inside another program.
 * @module
 */
export { type Config, type LoadOptions, loadConfig } from './config/config.ts';
export { CountersignError, type ErrorCode, type RefusalCode, refusalCodes } from './errors.ts';
export { type Gateway, type GatewayOptions, startGateway } from './main.ts';
