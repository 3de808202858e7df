import type { KubeObject } from '../../kube/types.ts';

/** The parts of Istio's `networking.istio.io/v1` that Sidestep reads or writes; all other fields pass through untouched. */
export interface Destination {
  host: string;
  subset?: string;
  port?: { number?: number };
}

export interface RouteDestination {
  destination?: Destination;
  weight?: number;
  [field: string]: unknown;
}

export interface RouteMatch {
  port?: number;
  [field: string]: unknown;
}

/** A route of any kind; HTTP routes may have a delegate, a redirect or a direct response in place of destinations. */
export interface Route {
  name?: string;
  match?: RouteMatch[];
  route?: RouteDestination[];
  delegate?: { name?: string; namespace?: string };
  [field: string]: unknown;
}

export interface VirtualServiceSpec {
  hosts?: string[];
  gateways?: string[];
  http?: Route[];
  tcp?: Route[];
  tls?: Route[];
  [field: string]: unknown;
}

/** The lists of routes in a VirtualService. */
export const ROUTE_KINDS = ['http', 'tcp', 'tls'] as const;

export interface VirtualService extends KubeObject {
  spec: VirtualServiceSpec;
}

export interface Subset {
  name: string;
  labels?: Record<string, string>;
  trafficPolicy?: unknown;
}

export interface DestinationRule extends KubeObject {
  spec: { host: string; trafficPolicy?: unknown; subsets?: Subset[]; [field: string]: unknown };
}
