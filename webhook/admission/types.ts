import type { Operation } from 'fast-json-patch';
import type { ConfigMap, Deployment, ReplicaSet } from '../../kube/types.ts';

/** Who sent the request, as the API server authenticated them. */
export interface Requester {
  username: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

/** What admission is asked. */
export interface AdmissionInput {
  uid: string;
  operation: string;
  namespace: string;
  name: string;
  object: Deployment;
  oldObject?: Deployment;
  requester: Requester;
  fieldManager?: string;
  dryRun: boolean;
  now: Date;
}

/** All that a decision may look up. Each rejects when the API server cannot answer; the request is then refused, not guessed. */
export interface Reads {
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  /** The stored Deployment of this name. */
  deployment(namespace: string, name: string): Promise<Deployment | undefined>;
  /** The ReplicaSets that this Deployment owns. */
  replicaSets(deployment: Deployment): Promise<ReplicaSet[]>;
}

export interface Settings {
  /** The only account whose decisions count, such as `system:serviceaccount:sidestep-system:sidestep-analyzer`. */
  analyzerUser: string;
  /** The chart's defaults for every spec. */
  specDefaults: Record<string, unknown>;
}

export interface Allowed {
  allowed: true;
  /** RFC 6902, relative to the object of the request. */
  patch: Operation[];
  /** Shown to whoever sent the request. */
  warnings: string[];
  /** For the API server's audit log, and for our metrics: which row of the table decided. */
  audit: Record<string, string>;
}

export interface Denied {
  allowed: false;
  /** HTTP status that the client sees. */
  code: number;
  message: string;
}

export type Outcome = Allowed | Denied;
