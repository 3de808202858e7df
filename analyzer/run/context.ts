import type { EvidenceReport } from '../../canary/evidence.ts';
import type { Run } from '../../canary/run.ts';
import type { CanarySpec } from '../../canary/spec.ts';
import type { MetricReading, RunStatus } from '../../canary/status.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Log } from '../../kube/log.ts';
import type { Deployment, Pod, ServicePort } from '../../kube/types.ts';
import type { HookResult } from '../checks/hooks.ts';
import type { Fence } from '../fence.ts';
import type { RunGuard } from '../guard/run-guard.ts';
import type { Reread } from '../metrics/reread.ts';
import type { Router } from '../traffic/router.ts';
import type { GentleLook } from '../workload/gentle.ts';
import type { VersionPods } from '../workload/primary.ts';
import type { Readiness } from '../workload/workload.ts';
import type { PrimaryView } from './primary-view.ts';
import type { RunRef } from './standing.ts';

/** Time, so that tests do not wait for it. */
export interface Clock {
  now(): Date;
}

/** The canary of this run, once it is known which Service and labels it takes. */
export interface Canary {
  service: string;
  port: ServicePort;
  canaryService: string;
  /** Creates what is missing: Service and Deployment. */
  prepare(replicas: number): Promise<void>;
  scale(replicas: number): Promise<void>;
  readiness(): Promise<Readiness>;
  /** The canary's pods as they are. */
  pods(): Promise<Pod[]>;
  router: Router;
}

/** What a look at the metrics gave. */
export interface Evaluation {
  readings: MetricReading[];
  /** Requests that reached the canary within the window of the longest metric. */
  requests: number;
}

/** What the phases reach the world through. */
export interface Ports {
  /** Finds Service, labels and policies; throws `Refusal`. */
  planCanary(primary: Deployment, spec: CanarySpec): Promise<Canary>;
  evaluate(canary: Canary, spec: CanarySpec, trafficSince: Date): Promise<Evaluation>;
  /** The same metrics of the primary, at the same time. */
  evaluatePrimary(canary: Canary, spec: CanarySpec, trafficSince: Date): Promise<Evaluation>;
  /** To be asked until callers' counts lack nothing of earlier canaries. */
  callersReread(canary: Canary): Reread;
  /** What watches the canary between the checks; `before` is what earlier attempts at this run saw. */
  guard(canary: Canary, run: Run, before: EvidenceReport | undefined): RunGuard;
  callHooks(canary: Canary, run: Run): Promise<HookResult[]>;
  /** Routes as before the run, from the marks on the objects alone. */
  restoreRoutes(): Promise<void>;
  /** Canary Deployment and Service gone, from the marks on the objects alone. */
  removeCanary(): Promise<void>;
  /** The versions that have pods in the primary, or are to have some. */
  versions(primary: Deployment): Promise<VersionPods[]>;
  /**
   * One idempotent step towards one version in a paused primary, all others at once, while the canary helps; true once only that one
   * runs, in full. Throws `VersionGone`.
   */
  settle(primary: Deployment, keepHash: string): Promise<boolean>;
  /** The same where no canary helps: the others no further than ready pods of the kept one, of which `known` are known to every proxy. */
  settleGently(primary: Deployment, keepHash: string, known?: number): Promise<GentleLook>;
  /** Whether all pods of this version in the primary are ready, and no other version has more. */
  versionReady(primary: Deployment, hash: string): Promise<boolean>;
  /** Deletes the ReplicaSet of a version that is not to come back, once it has no pods. */
  forget(primary: Deployment, hash: string): Promise<void>;
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** Settles when every Event is written or lost. */
  written(): Promise<void>;
}

/** A primary on its way to one version. */
export interface Settling {
  /** Hash of the version to keep. */
  keep: string;
  /** Hashes of the versions that are to be gone. */
  leaving: string[];
}

export interface Context {
  client: KubeClient;
  log: Log;
  clock: Clock;
  signal: AbortSignal;
  ref: RunRef & { namespace: string; name: string; attempt: number; rollbackOnly: boolean };
  fence: Fence;
  view: PrimaryView;
  ports: Ports;
  /** After a route or an endpoint changes, until every proxy has it. */
  propagationMs: number;
  /** The run's memory, written to the primary by `report`. */
  status: RunStatus;
  /** Set by Preparing. */
  canary?: Canary;
  /** Set with the canary. */
  guard?: RunGuard;
  /** Set while this run brings the primary to one version, for whatever ends the run meanwhile. */
  settling?: Settling;
}
