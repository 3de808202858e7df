import { digest } from './hash.ts';

/** DNS labels and label values end at 63 characters. */
const MAX_LABEL = 63;
/** Pods of a Deployment are called NAME-<10>-<5>, and the pod's host name is cut at 63: leave room so that names stay telling. */
const MAX_DEPLOYMENT = 47;
const SUFFIX = '-canary';
const HASH_LENGTH = 8;

/** `base-suffix`, or, where that is too long, a cut base with a hash of the whole so that two long names stay apart. */
function suffixed(base: string, max: number): string {
  if (base.length + SUFFIX.length <= max) return base + SUFFIX;
  const head = base.slice(0, max - SUFFIX.length - HASH_LENGTH - 1).replace(/[^a-zA-Z0-9]+$/, '');
  return `${head}-${digest([base], HASH_LENGTH)}${SUFFIX}`;
}

export const canaryDeploymentName = (primary: string): string => suffixed(primary, MAX_DEPLOYMENT);
export const canaryServiceName = (service: string): string => suffixed(service, MAX_LABEL);
export const canaryLabelValue = (value: string): string => (value === '' ? 'canary' : suffixed(value, MAX_LABEL));

/** The Job of one attempt at one run: the same for both replicas of the launcher, so that only one of them can create it. */
export const jobName = (deploymentUid: string, runId: string, attempt: number): string =>
  `sidestep-${digest([deploymentUid, runId, attempt], 16)}`;

/** The Lease of one workload, in Sidestep's own namespace. */
export const leaseName = (deploymentUid: string): string => `sidestep-${digest([deploymentUid], 16)}`;

/** A run's id. It depends on the run before, so that a retry of the same version is told apart. */
export const runId = (uid: string, generation: number, hash: string, previousRun: string): string =>
  digest([uid, generation, hash, previousRun], 10);
