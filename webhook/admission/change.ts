import { escapePathComponent, type Operation } from 'fast-json-patch';
import type { Deployment } from '../../kube/types.ts';

/** What admission wants to be different on the object: null removes. */
export interface Change {
  annotations?: Record<string, string | null>;
  labels?: Record<string, string | null>;
  paused?: boolean;
}

/** Later changes win field by field. */
export const combine = (...changes: Change[]): Change => ({
  annotations: Object.assign({}, ...changes.map((c) => c.annotations)),
  labels: Object.assign({}, ...changes.map((c) => c.labels)),
  ...Object.assign({}, ...changes.map(({ paused }) => (paused === undefined ? {} : { paused }))),
});

/**
 * The patch that makes the change, empty where the object is that way already. Built by hand: a generic diff works list item by list
 * item and would answer one environment variable put in front with an operation for each one behind it.
 */
export function toPatch(object: Deployment, { annotations, labels, paused }: Change): Operation[] {
  return [
    ...mapPatch('/metadata/annotations', object.metadata.annotations, annotations ?? {}),
    ...mapPatch('/metadata/labels', object.metadata.labels, labels ?? {}),
    ...pausedPatch(object.spec.paused ?? false, paused),
  ];
}

function mapPatch(
  path: string,
  present: Record<string, string> | undefined,
  wanted: Record<string, string | null>,
): Operation[] {
  const operations: Operation[] = [];
  for (const [key, value] of Object.entries(wanted)) {
    const at = `${path}/${escapePathComponent(key)}`;
    const has = present !== undefined && Object.hasOwn(present, key);
    if (value === null) {
      if (has) operations.push({ op: 'test', path: at, value: present[key] }, { op: 'remove', path: at });
    } else if (!has || present[key] !== value) {
      operations.push({ op: 'add', path: at, value });
    }
  }
  return present === undefined && operations.length > 0 ? [{ op: 'add', path, value: {} }, ...operations] : operations;
}

function pausedPatch(present: boolean, wanted: boolean | undefined): Operation[] {
  if (wanted === undefined || wanted === present) return [];
  return wanted ? [{ op: 'add', path: '/spec/paused', value: true }] : [{ op: 'remove', path: '/spec/paused' }];
}
