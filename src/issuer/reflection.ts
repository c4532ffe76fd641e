/**
 * The three functions of metadata reflection that tsyringe, below @peculiar/x509, won't load without. It keeps notes on
 * its own classes with them; the whole polyfill would change more of the global `Reflect`.
 * @module
 */
const notes = new WeakMap<object, Map<unknown, unknown>>();

function get(key: unknown, target: object): unknown {
  return notes.get(target)?.get(key);
}

function define(key: unknown, value: unknown, target: object): void {
  const ofTarget = notes.get(target) ?? new Map<unknown, unknown>();
  notes.set(target, ofTarget.set(key, value));
}

// A real polyfill that came first stays.
if (!('getMetadata' in Reflect)) {
  const hidden = { configurable: true, writable: true };
  Object.defineProperties(Reflect, {
    getMetadata: { ...hidden, value: get },
    getOwnMetadata: { ...hidden, value: get },
    defineMetadata: { ...hidden, value: define },
  });
}
