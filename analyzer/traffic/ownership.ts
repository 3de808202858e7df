import { FIELD_MANAGER } from '../../kube/client.ts';
import { ROUTE_KINDS, type VirtualService } from './types.ts';

/**
 * Who owned a list of routes before we wrote it. Whoever applies on the server's side would otherwise meet a conflict with us over
 * routes that have long been restored.
 */
export interface FieldOwner {
  manager: string;
  operation: string;
  apiVersion: string;
  subresource?: string;
  /** As in `managedFields`, below `f:spec`. */
  fields: unknown;
}

/** By field of the spec, such as `f:http`. */
export type RouteOwners = Record<string, FieldOwner[]>;

interface ManagedFields {
  manager: string;
  operation: string;
  apiVersion: string;
  subresource?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: { 'f:spec'?: Record<string, unknown>; [field: string]: unknown };
}

const FIELDS = ROUTE_KINDS.map((kind) => `f:${kind}`);

const entriesOf = ({ metadata }: VirtualService): ManagedFields[] =>
  (metadata.managedFields as ManagedFields[] | undefined) ?? [];

const isOwn = ({ manager }: ManagedFields): boolean => manager === FIELD_MANAGER;

const owns = (entry: ManagedFields, field: string): boolean => entry.fieldsV1?.['f:spec']?.[field] !== undefined;

/** Who owns the routes, as the object says; for those that we have taken over, as it said before. */
export function routeOwners(vs: VirtualService, before: RouteOwners = {}): RouteOwners {
  const entries = entriesOf(vs);
  const owners: RouteOwners = {};
  for (const field of FIELDS) {
    const found = entries.some((e) => isOwn(e) && owns(e, field))
      ? (before[field] ?? [])
      : entries.filter((e) => owns(e, field)).map((e) => ownerOf(e, field));
    if (found.length > 0) owners[field] = found;
  }
  return owners;
}

const ownerOf = (
  { manager, operation, apiVersion, subresource, fieldsV1 }: ManagedFields,
  field: string,
): FieldOwner => ({
  manager,
  operation,
  apiVersion,
  ...(subresource === undefined ? {} : { subresource }),
  fields: fieldsV1!['f:spec']![field],
});

/**
 * `managedFields` with us gone from it, and what we own of the routes with its owners again. The API server takes this only from a write
 * that leaves the routes themselves alone: else it counts them as the writer's.
 */
export function withoutUs(vs: VirtualService, owners: RouteOwners): unknown {
  const all = structuredClone(entriesOf(vs));
  const others = all.filter((e) => !isOwn(e));
  for (const field of FIELDS.filter((f) => all.some((e) => isOwn(e) && owns(e, f)))) {
    for (const owner of owners[field] ?? []) give(others, owner, field);
  }
  return others;
}

function give(entries: ManagedFields[], { fields, ...owner }: FieldOwner, field: string): void {
  const present = entries.find((e) => sameOwner(e, owner));
  const entry: ManagedFields = present ?? { ...owner, fieldsType: 'FieldsV1' };
  if (!present) entries.push(entry);
  entry.fieldsV1 = { ...entry.fieldsV1, 'f:spec': { ...entry.fieldsV1?.['f:spec'], [field]: fields } };
}

const sameOwner = (a: Omit<FieldOwner, 'fields'>, b: Omit<FieldOwner, 'fields'>): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.apiVersion === b.apiVersion &&
  a.subresource === b.subresource;
