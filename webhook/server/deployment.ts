import type { Deployment } from '../../kube/types.ts';

/** A JSON object whose fields are unknown. */
export type Json = Record<string, unknown>;

export const isMap = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);

type Check = (v: unknown) => boolean;

const absentOr =
  (check: Check): Check =>
  (v) =>
    v === undefined || check(v);
const listOf =
  (check: Check): Check =>
  (v) =>
    Array.isArray(v) && v.every(check);
const isText: Check = (v) => typeof v === 'string';
const isNumber: Check = (v) => typeof v === 'number';
/** A time that was never set is null in JSON. */
const isTime: Check = (v) => v === undefined || v === null || isText(v);
const isTextMap: Check = (v) => isMap(v) && Object.values(v).every(isText);

/** A map with fields of these kinds, whatever else it has. */
const fields =
  (checks: Record<string, Check>): Check =>
  (v) =>
    isMap(v) && Object.entries(checks).every(([field, check]) => check(v[field]));

const containers = listOf(fields({ ports: absentOr(listOf(isMap)), volumeMounts: absentOr(listOf(isMap)) }));

const deployment = fields({
  metadata: fields({
    name: absentOr(isText),
    uid: absentOr(isText),
    generation: absentOr(isNumber),
    annotations: absentOr(isTextMap),
    labels: absentOr(isTextMap),
    creationTimestamp: isTime,
  }),
  spec: fields({
    replicas: absentOr(isNumber),
    revisionHistoryLimit: absentOr(isNumber),
    strategy: absentOr(isMap),
    selector: isMap,
    template: fields({
      metadata: absentOr(fields({ labels: absentOr(isTextMap), annotations: absentOr(isTextMap) })),
      spec: fields({
        containers,
        initContainers: absentOr(containers),
        volumes: absentOr(listOf((volume) => isMap(volume) && Object.values(volume).every((v) => v !== null))),
      }),
    }),
  }),
  status: absentOr(fields({ conditions: absentOr(listOf(fields({ lastTransitionTime: isTime }))) })),
});

/**
 * Whether a value has, where decisions look, what every Deployment has. What the API server sends it has validated itself; but whoever
 * reaches the port may send anything.
 */
export const isDeployment = (v: unknown): v is Deployment => deployment(v);
