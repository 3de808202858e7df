import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import {
  AUTHORIZATION_POLICIES,
  ENVOY_FILTERS,
  NETWORK_POLICIES,
  PEER_AUTHENTICATIONS,
  type Resource,
  SIDECARS,
  VIRTUAL_SERVICES,
} from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

/** A policy that tells pods apart by a label. */
export interface LabelUse {
  /** Such as `NetworkPolicy deny-all`. */
  object: string;
  key: string;
  /** undefined where only the label's presence counts. */
  value: string | undefined;
}

export interface Policies {
  uses: LabelUse[];
  /** Kinds that this account may not read, or that the cluster does not have: nothing is known of them. */
  unreadable: string[];
}

const KINDS: readonly Resource[] = [
  NETWORK_POLICIES,
  AUTHORIZATION_POLICIES,
  PEER_AUTHENTICATIONS,
  SIDECARS,
  ENVOY_FILTERS,
  VIRTUAL_SERVICES,
];

/** Fields under which these kinds keep labels of pods, as maps or as label selectors. */
const LABEL_FIELDS = new Set(['matchLabels', 'sourceLabels', 'labels', 'podSelector']);

/** Reads the policies of a namespace and every pod label that they look at. */
export async function readPolicies(client: KubeClient, namespace: string, signal: AbortSignal): Promise<Policies> {
  const policies: Policies = { uses: [], unreadable: [] };
  await Promise.all(
    KINDS.map(async (kind) => {
      try {
        const { items } = await client.list(kind, { namespace }, { signal });
        policies.uses.push(...items.flatMap((item) => labelUses(kind, item)));
      } catch (e) {
        if (isForbidden(e)) policies.unreadable.push(kind.kind);
        else if (!isNotFound(e)) throw e;
      }
    }),
  );
  return policies;
}

export const labelKeys = ({ uses }: Policies): Set<string> => new Set(uses.map(({ key }) => key));

/** The policies that look at a label which the canary's pods have with another value: they would miss the canary. */
export function missingTheCanary({ uses }: Policies, changed: ReadonlyMap<string, { from: string }>): string[] {
  const missed = uses.filter(
    ({ key, value }) => changed.has(key) && (value === undefined || value === changed.get(key)!.from),
  );
  return [
    ...new Set(
      missed.map(({ object, key, value }) => `${object} (label ${key}${value === undefined ? '' : `=${value}`})`),
    ),
  ].sort();
}

/** Walks a spec and collects the labels in it. */
export function labelUses({ kind }: Resource, object: KubeObject & { spec?: unknown }): LabelUse[] {
  const name = `${kind} ${object.metadata.name}`;
  const found: LabelUse[] = [];
  walk(object.spec, (field, value) => {
    if (field === 'matchExpressions' && Array.isArray(value)) found.push(...expressionUses(name, value));
    else if (LABEL_FIELDS.has(field) && isLabelMap(value))
      found.push(...Object.entries(value).map(([key, v]) => ({ object: name, key, value: v })));
  });
  return found;
}

function expressionUses(object: string, expressions: unknown[]): LabelUse[] {
  return expressions.flatMap((expression): LabelUse[] => {
    const { key, values = [] } = expression as { key: string; values?: string[] };
    return values.length === 0 ? [{ object, key, value: undefined }] : values.map((value) => ({ object, key, value }));
  });
}

const isLabelMap = (value: unknown): value is Record<string, string> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((v) => typeof v === 'string');

function walk(value: unknown, visit: (field: string, value: unknown) => void): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [field, inner] of Object.entries(value)) {
    visit(field, inner);
    walk(inner, visit);
  }
}
