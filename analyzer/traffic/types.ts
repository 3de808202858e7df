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

export interface Route {
  name?: string;
  match?: Record<string, unknown>[];
  route?: RouteDestination[];
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
