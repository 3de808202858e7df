import { VIRTUAL_SERVICES } from '../../kube/resources.ts';
import type { OwnerReference, ServicePort } from '../../kube/types.ts';
import { Refusal } from '../refusal.ts';
import { namesService, type ServiceRef, wildcardTakesIn } from './hosts.ts';
import { type RouteKind, routeKind } from './protocol.ts';
import type { Route, VirtualService } from './types.ts';

/** What a VirtualService of our own is made from. */
export interface OwnRoutes {
  namespace: string;
  service: string;
  /** The port that is split. */
  port: number;
  /** All ports of the Service: the others go on to the primary. */
  ports: ServicePort[];
  labels: Record<string, string>;
  owner: OwnerReference;
}

/**
 * Routes for a Service that has none, as they are without a canary. Neither retries nor time-outs are set: what holds without a
 * VirtualService holds with this one.
 * @throws Refusal for a port that Istio routes by the name in the TLS handshake, which only its clients know
 */
export function ownVirtualService({ namespace, service, port, ports, labels, owner }: OwnRoutes): VirtualService {
  if (ports.some((p) => p.port === port && routeKind(p) === 'tls')) {
    throw new Refusal(
      `port ${port} of Service ${service} is TLS by its name or appProtocol, and no VirtualService of the namespace routes it: Istio splits TLS by server name (SNI) only; give it a VirtualService with tls routes`,
    );
  }
  const several = ports.length > 1;
  const of = (kind: RouteKind): Route[] =>
    ports
      .filter((p) => routeKind(p) === kind)
      .map((p) => ({
        ...(several ? { match: [{ port: p.port }] } : {}),
        route: [{ destination: { host: service, port: { number: p.port } } }],
      }));
  const [http, tcp] = [of('http'), of('tcp')];
  return {
    apiVersion: VIRTUAL_SERVICES.apiVersion,
    kind: VIRTUAL_SERVICES.kind,
    metadata: { name: service, namespace, labels, ownerReferences: [owner] },
    spec: {
      hosts: [service],
      ...(http.length > 0 ? { http } : {}),
      ...(tcp.length > 0 ? { tcp } : {}),
    },
  };
}

/** The gateway that stands for the mesh's own clients. */
const MESH = 'mesh';

/**
 * Whether the object decides what becomes of the mesh's own requests to the Service. One that is bound to gateways only does not; nor
 * does one for another host, though its routes may lead to the Service.
 */
export function governsMesh({ metadata, spec }: VirtualService, service: ServiceRef, wildcards: boolean): boolean {
  const { hosts = [], gateways = [] } = spec;
  if (gateways.length > 0 && !gateways.includes(MESH)) return false;
  return hosts.some(
    (host) => namesService(host, metadata.namespace ?? '', service) || (wildcards && wildcardTakesIn(host, service)),
  );
}

/** Whether any route hands over to one of these objects of the same namespace. */
export const delegatesTo = ({ metadata, spec }: VirtualService, others: VirtualService[]): boolean =>
  (spec.http ?? []).some(
    ({ delegate }) =>
      delegate &&
      (delegate.namespace ?? metadata.namespace) === metadata.namespace &&
      others.some((other) => other.metadata.name === delegate.name),
  );
