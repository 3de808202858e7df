/** Every key that Sidestep reads or writes on a user's object. */
const PREFIX = 'sidestep.dev/';

/** The user's: `enabled` opts the Deployment in. */
export const CANARY = `${PREFIX}canary`;
export const ENABLED = 'enabled';
/** The user's: the analysis, as YAML. */
export const SPEC = `${PREFIX}spec`;
/** The user's: name of a ConfigMap whose key `canary.yaml` holds the analysis. */
export const SPEC_FROM = `${PREFIX}spec-from`;
export const SPEC_FROM_KEY = 'canary.yaml';
/** The user's: one order, consumed at admission. */
export const COMMAND = `${PREFIX}command`;

/** Ours: the run, as JSON (`run.ts`). */
export const RUN = `${PREFIX}run`;
/** Ours: the run's phase as plain text, for `kubectl wait --for=jsonpath`. */
export const PHASE = `${PREFIX}phase`;
/** Ours: hashes of the versions promoted here, newest first, as JSON. */
export const PROMOTED = `${PREFIX}promoted`;
/** Ours: the analyzer's word, consumed at admission (`decision.ts`). */
export const DECISION = `${PREFIX}decision`;
/** Ours: the analyzer's report, as JSON (`status.ts`). */
export const STATUS = `${PREFIX}status`;
/** Ours: a pause of ours that an opt-out left in place, with a version held behind it. */
export const PAUSED_BY = `${PREFIX}paused-by`;
export const PAUSED_BY_OPT_OUT = 'opt-out';

/** Written by nobody but Sidestep. The status is the analyzer's alone, written through the status subresource. */
export const STATE_ANNOTATIONS = [RUN, PHASE, PROMOTED, DECISION, STATUS, PAUSED_BY] as const;

/** Label by which watches find what is opted in: a watch cannot select by annotation. */
export const WATCHED_LABEL = `${PREFIX}watched`;

/** On objects that a run made. */
export const RUN_LABEL = `${PREFIX}run`;
export const PRIMARY_LABEL = `${PREFIX}primary`;
/** On analyzer Jobs, beside the run: which Deployment and which attempt. Names may be longer than a label's value: annotations. */
export const DEPLOYMENT_UID_LABEL = `${PREFIX}deployment-uid`;
export const ATTEMPT_LABEL = `${PREFIX}attempt`;
export const JOB_NAMESPACE = `${PREFIX}namespace`;
export const JOB_DEPLOYMENT = `${PREFIX}deployment`;
export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
export const MANAGED_BY = 'sidestep';
/** On route objects and the canary Deployment: the transition count of the Lease whose holder may write them. */
export const FENCE = `${PREFIX}fence`;
/** On a user's VirtualService while its routes are split: its spec as the user wrote it, and the hash of what we wrote last. */
export const ORIGINAL = `${PREFIX}original`;
export const WRITTEN = `${PREFIX}written`;

export const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';
export const POD_TEMPLATE_HASH = 'pod-template-hash';
