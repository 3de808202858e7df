import { isDeepStrictEqual } from 'node:util';
import {
  FENCE,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  ORIGINAL,
  PRIMARY_LABEL,
  RUN_LABEL,
  WRITTEN,
} from '../../canary/annotations.ts';
import { canonicalJson, digest } from '../../canary/hash.ts';
import { FencedOut } from '../fence.ts';
import { Refusal } from '../refusal.ts';
import { type RouteOwners, routeOwners, withoutUs } from './ownership.ts';
import { namesCanary, splitSpec, unsplitSpec, type WeightedSplit } from './split.ts';
import type { VirtualService, VirtualServiceSpec } from './types.ts';

/** The canary of one workload in an object's routes. */
export interface Share extends Omit<WeightedSplit, 'namespace'> {
  primary: string;
  /** Of the Lease whose holder wrote this. One object can carry canaries of several workloads, each with a Lease of its own. */
  fence: number;
}

/** What the annotation of a split VirtualService remembers: the user's routes, and which canaries are in them now. */
export interface Kept {
  /** As the user wrote it, or, in an object of ours, as it would be without a canary. */
  spec: VirtualServiceSpec;
  shares: Share[];
  /** We made the object, and it goes with its last share. */
  created?: true;
  owners?: RouteOwners;
}

/** The API server takes 256 KiB of annotations in one object, and the user's own come first. */
const MAX_KEPT_BYTES = 200 * 1024;

export function readKept({ metadata }: VirtualService): Kept | undefined {
  const text = metadata.annotations?.[ORIGINAL];
  if (text === undefined) return undefined;
  try {
    const kept = JSON.parse(text) as Partial<Kept>;
    return kept.spec && Array.isArray(kept.shares) ? (kept as Kept) : undefined;
  } catch {
    return undefined;
  }
}

/** Throws `FencedOut` if a later holder of the workload's Lease has written its share already. */
export function guardShare(vs: VirtualService, primary: string, token: number): void {
  const written = shareOf(vs, primary)?.fence ?? 0;
  if (written > token) throw new FencedOut(`holder number ${written}, this is number ${token}`);
}

export const shareOf = (vs: VirtualService, primary: string): Share | undefined =>
  readKept(vs)?.shares.find((share) => share.primary === primary);

/** Whether somebody else has changed the routes since we wrote them. */
export const isEdited = (vs: VirtualService): boolean =>
  readKept(vs) !== undefined && digestOf(vs.spec) !== vs.metadata.annotations?.[WRITTEN];

/** Whether the object goes with its last share: we made it, and nobody made it theirs meanwhile. */
export function isDisposable(vs: VirtualService): boolean {
  const kept = readKept(vs);
  return kept?.created === true && isDeepStrictEqual(usersSpec(vs, kept), kept.spec);
}

/** What we keep of a new object of ours, from the routes that it would have without a canary. */
export const created = (vs: VirtualService): Kept => ({ spec: vs.spec, shares: [], created: true });

/**
 * Takes the routes of a new object of ours as the API server stored them, where a mutating webhook had something to add: else that would
 * look like a user's edit, and the object would stay. @returns whether that changed the object
 */
export function acceptStored(vs: VirtualService): boolean {
  const kept = readKept(vs);
  return kept !== undefined && isEdited(vs) && write(vs, { ...kept, spec: usersSpec(vs, kept) });
}

/** Puts a share into the routes, in place of the one that this workload has in them. @returns whether that changed the object */
export function putShare(vs: VirtualService, share: Share, kept = currentOf(vs)): boolean {
  const others = kept.shares.filter(({ primary }) => primary !== share.primary);
  const rival = others.find(({ service, port }) => service === share.service && port === share.port);
  if (rival) {
    throw new Refusal(
      `VirtualService ${vs.metadata.name}: port ${share.port} of Service ${share.service} is split for a canary of ${rival.primary} already`,
    );
  }
  return write(vs, { ...kept, shares: [...others, share].sort((a, b) => (a.primary < b.primary ? -1 : 1)) });
}

/** Takes a workload's share out of the routes. What is remembered stays until `strip`. @returns whether that changed the object */
export function dropShare(vs: VirtualService, primary: string): boolean {
  const kept = currentOf(vs);
  return write(vs, { ...kept, shares: kept.shares.filter((share) => share.primary !== primary) });
}

/** Once no share is left: the object without any trace of us. @returns whether that changed the object */
export function strip(vs: VirtualService): boolean {
  const kept = readKept(vs);
  if (!kept || kept.shares.length > 0) return false;
  const { [ORIGINAL]: _o, [WRITTEN]: _w, [FENCE]: _f, ...annotations } = vs.metadata.annotations ?? {};
  if (Object.keys(annotations).length > 0) vs.metadata.annotations = annotations;
  else delete vs.metadata.annotations;
  if (vs.metadata.managedFields) vs.metadata.managedFields = withoutUs(vs, kept.owners ?? {});
  return true;
}

/** What is kept, brought up to date: what the user edited while the routes were split becomes what is kept. */
function currentOf(vs: VirtualService): Kept {
  const kept = readKept(vs) ?? { spec: vs.spec, shares: [] };
  const ours = kept.created && isDisposable(vs);
  if (kept.created && !ours) disown(vs, kept);
  const owners = routeOwners(vs, kept.owners);
  return {
    spec: usersSpec(vs, kept),
    shares: kept.shares,
    ...(ours ? { created: true } : {}),
    ...(Object.keys(owners).length > 0 ? { owners } : {}),
  };
}

function usersSpec(vs: VirtualService, kept: Kept): VirtualServiceSpec {
  if (!isEdited(vs)) return kept.spec;
  // GitOps puts back what it knows, to the letter.
  if (isDeepStrictEqual(vs.spec, kept.spec)) return kept.spec;
  const splits = splitsOf(vs, kept);
  const strays = splits.some((split) => namesCanary(kept.spec, split)) ? 'keep' : 'return';
  return unsplitSpec(vs.spec, splits, strays);
}

const splitsOf = ({ metadata }: VirtualService, { shares }: Kept): WeightedSplit[] =>
  shares.map((share) => ({ ...share, namespace: metadata.namespace! }));

/** Somebody applied routes of their own over an object of ours: it is theirs now, and must not go with the run or the primary. */
function disown({ metadata }: VirtualService, { shares }: Kept): void {
  const { [PRIMARY_LABEL]: _p, [RUN_LABEL]: _r, ...labels } = metadata.labels ?? {};
  if (labels[MANAGED_BY_LABEL] === MANAGED_BY) delete labels[MANAGED_BY_LABEL];
  metadata.labels = labels;
  metadata.ownerReferences = (metadata.ownerReferences ?? []).filter(
    ({ kind, name }) => kind !== 'Deployment' || shares.every(({ primary }) => primary !== name),
  );
}

function write(vs: VirtualService, kept: Kept): boolean {
  const text = JSON.stringify(kept);
  if (Buffer.byteLength(text) > MAX_KEPT_BYTES) {
    throw new Refusal(
      `VirtualService ${vs.metadata.name} has ${Buffer.byteLength(text)} bytes of routes; at most ${MAX_KEPT_BYTES} can be kept while they are split`,
    );
  }
  const spec = splitSpec(kept.spec, splitsOf(vs, kept));
  const annotations = { ...vs.metadata.annotations, [ORIGINAL]: text, [WRITTEN]: digestOf(spec) };
  if (isDeepStrictEqual(spec, vs.spec) && isDeepStrictEqual(annotations, vs.metadata.annotations)) return false;
  vs.spec = spec;
  vs.metadata.annotations = annotations;
  return true;
}

const digestOf = (spec: VirtualServiceSpec): string => digest([canonicalJson(spec)], 20);
