import { VIRTUAL_SERVICES } from '../../kube/resources.ts';
import type { OwnerReference, ServicePort } from '../../kube/types.ts';
import type { Route, VirtualService } from './types.ts';

/** What a VirtualService of our own is made from. */
export interface OwnRoutes {
  name: string;
  namespace: string;
  service: string;
  canaryService: string;
  /** The port that is split. */
  port: number;
  /** All ports of the Service: the others go on to the primary. */
  ports: ServicePort[];
  labels: Record<string, string>;
  owner: OwnerReference;
}

/** Protocols that Istio routes by connection: by the names that it knows in `appProtocol` and as a prefix of port names. */
const CONNECTION_PROTOCOLS = new Set(['tcp', 'tls', 'https', 'mongo', 'mysql', 'redis', 'postgres']);

/** Istio looks at appProtocol first, then at the part of the port's name before the first dash. */
export function isConnectionPort({ appProtocol, name = '' }: ServicePort): boolean {
  return CONNECTION_PROTOCOLS.has((appProtocol ?? name.split('-')[0]!).toLowerCase());
}

/**
 * Routes for a Service that has none: the canary gets nothing yet, but stands in them, so that the proxies know it before its first
 * request. Neither retries nor time-outs are set: what holds without a VirtualService holds with this one.
 */
export function ownVirtualService({
  name,
  namespace,
  service,
  canaryService,
  port,
  ports,
  labels,
  owner,
}: OwnRoutes): VirtualService {
  const several = ports.length > 1;
  const routes = ports
    .filter((p) => (p.protocol ?? 'TCP') === 'TCP')
    .map((p): { connection: boolean; route: Route } => {
      const to = (host: string, weight: number) => ({ destination: { host, port: { number: p.port } }, weight });
      const route = p.port === port ? [to(service, 100), to(canaryService, 0)] : [to(service, 100)];
      return {
        connection: isConnectionPort(p),
        route: { ...(several || isConnectionPort(p) ? { match: [{ port: p.port }] } : {}), route },
      };
    });
  const of = (connection: boolean) => routes.filter((r) => r.connection === connection).map(({ route }) => route);
  return {
    apiVersion: VIRTUAL_SERVICES.apiVersion,
    kind: VIRTUAL_SERVICES.kind,
    metadata: { name, namespace, labels, ownerReferences: [owner] },
    spec: {
      hosts: [service],
      ...(of(false).length > 0 ? { http: of(false) } : {}),
      ...(of(true).length > 0 ? { tcp: of(true) } : {}),
    },
  };
}

/** The weight of the canary put into routes of our own. */
export function withWeight(vs: VirtualService, percent: number, canaryService: string): VirtualService {
  const put = (route: Route): Route => {
    if (!route.route?.some((d) => d.destination?.host === canaryService)) return route;
    return {
      ...route,
      route: route.route.map((d) => ({
        ...d,
        weight: d.destination?.host === canaryService ? percent : 100 - percent,
      })),
    };
  };
  const { http, tcp } = vs.spec;
  return {
    ...vs,
    spec: { ...vs.spec, ...(http ? { http: http.map(put) } : {}), ...(tcp ? { tcp: tcp.map(put) } : {}) },
  };
}
