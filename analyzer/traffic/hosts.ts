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

/** What Kubernetes installs as; only wildcards that stand for a whole domain or more need to know it. */
const USUAL_DOMAIN = 'cluster.local';

/** Whether a host with a leading wildcard, such as `*.shop.svc.cluster.local`, takes in the Service. */
export function wildcardTakesIn(host: string, { name, namespace }: ServiceRef): boolean {
  if (!host.startsWith('*')) return false;
  const suffix = host.slice(1).replace(/^\./, '');
  return (
    suffix.startsWith(`${namespace}.svc.`) ||
    suffix.startsWith('svc.') ||
    `${name}.${namespace}.svc.${USUAL_DOMAIN}`.endsWith(suffix)
  );
}

/** The same host form for another Service of the same namespace: `reviews.shop.svc` → `reviews-canary.shop.svc`. */
export const withName = (host: string, name: string): string => [name, ...host.split('.').slice(1)].join('.');
