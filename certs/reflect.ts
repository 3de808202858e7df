/**
 * The three functions of the Reflect metadata proposal that tsyringe, below @peculiar/x509, asks for when it is loaded. To be
 * imported before it. An implementation that is there already is left alone.
 */
type Metadata = Map<unknown, unknown>;

const stored = new WeakMap<object, Metadata>();

function own(key: unknown, target: object): unknown {
  return stored.get(target)?.get(key);
}

function inherited(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (stored.get(at)?.has(key)) return own(key, at);
  }
  return undefined;
}

function define(key: unknown, value: unknown, target: object): void {
  const metadata = stored.get(target) ?? new Map<unknown, unknown>();
  stored.set(target, metadata.set(key, value));
}

if (!('getMetadata' in Reflect)) {
  const hidden = (value: unknown) => ({ value, configurable: true, writable: true });
  Object.defineProperties(Reflect, {
    getMetadata: hidden(inherited),
    getOwnMetadata: hidden(own),
    defineMetadata: hidden(define),
  });
}
