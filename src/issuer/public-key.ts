/**
 * The keys that may be certified: type and size are read from the SubjectPublicKeyInfo before anything else is.
 * @module
 */

export type KeyType = 'p-256' | 'p-384' | 'ed25519' | 'rsa';
