import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { PodTemplate } from '../kube/types.ts';
import { POD_TEMPLATE_HASH, RESTARTED_AT } from './annotations.ts';

/** Changes whenever the canonical form below does, so that hashes of two forms are never compared. */
const FORM = 'v1';

/**
 * Hash of a pod template that is the same for a Deployment and its ReplicaSet, however the fields are ordered, and across
 * `kubectl rollout restart`: a restart is no new version.
 * @returns `v1-` and 20 hexadecimal digits
 */
export function templateHash(template: PodTemplate): string {
  const digest = createHash('sha256')
    .update(canonicalJson(comparable(template)))
    .digest('hex');
  return `${FORM}-${digest.slice(0, 20)}`;
}

/** Whether two templates are equal field by field; keys in any order. */
export const sameTemplate = (a: PodTemplate, b: PodTemplate): boolean => isDeepStrictEqual(a, b);

function comparable({ metadata = {}, spec }: PodTemplate): unknown {
  const { creationTimestamp: _, labels, annotations, ...rest } = metadata;
  return {
    metadata: {
      ...rest,
      ...nonEmpty('labels', without(labels, POD_TEMPLATE_HASH)),
      ...nonEmpty('annotations', without(annotations, RESTARTED_AT)),
    },
    spec,
  };
}

function without(map: Record<string, string> | undefined, key: string): Record<string, string> {
  const { [key]: _, ...rest } = map ?? {};
  return rest;
}

const nonEmpty = (key: string, map: Record<string, string>) => (Object.keys(map).length > 0 ? { [key]: map } : {});

/** JSON with the keys of every object in order; the same value always gives the same text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => {
    if (v === null || typeof v !== 'object' || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

/** A short stable digest for names and ids: lower-case hexadecimal. */
export const digest = (parts: readonly (string | number)[], length: number): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, length);
