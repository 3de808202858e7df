/** A Service as routes name it. */
export interface ServiceRef {
  name: string;
  namespace: string;
}

/**
 * Whether a host in an Istio object names the Service: `reviews` (relative to the object's own namespace), `reviews.shop`,
 * `reviews.shop.svc` or with any cluster domain behind it.
 */
export function namesService(host: string, objectNamespace: string, { name, namespace }: ServiceRef): boolean {
  const [first, second, third] = host.split('.');
  if (first !== name) return false;
  if (second === undefined) return objectNamespace === namespace;
  return second === namespace && (third === undefined || third === 'svc');
}

/** The same host form for another Service of the same namespace: `reviews.shop.svc` → `reviews-canary.shop.svc`. */
export const withName = (host: string, name: string): string => [name, ...host.split('.').slice(1)].join('.');
