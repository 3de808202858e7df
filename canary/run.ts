import * as z from 'zod';
import { PHASE, RUN } from './annotations.ts';
import type { CanarySpec } from './spec.ts';
import { schema } from './spec-schema.ts';

/**
 * held: the version waits behind the pause, its canary is analysed. promoting: the primary rolls to it. rejected: it stays held
 * and is released by nothing but a retry, a revert, another version or an explicit promote.
 */
export type RunPhase = 'held' | 'promoting' | 'rejected';

/**
 * What a user ordered about a held version, until it is carried out or another order takes its place. promote: without further checks.
 * pause: stay at the weight. The other commands are carried out at admission and leave nothing to remember.
 */
export interface Order {
  command: 'promote' | 'pause';
  /** Who ordered it. */
  requester: string;
  /** RFC 3339. */
  time: string;
}

/** The state of one run, kept in the annotation `sidestep.dev/run` of the primary; written by admission alone. */
export interface Run {
  id: string;
  phase: RunPhase;
  /** Hash of the version under analysis (`hash.ts`). */
  hash: string;
  /** Hash of the version that serves, and to which a rollback returns. */
  stable: string;
  /** Who sent the version. */
  requester: string;
  /** When it was held, or rejected: RFC 3339. */
  time: string;
  /** The analysis as it was when the run began. */
  spec: CanarySpec;
  /** Hash of a version whose promotion this run interrupted: the primary has pods of it and of the stable one. */
  interrupted?: string;
  /**
   * Hashes of versions that were rejected before this one came: neither pods of them nor their ReplicaSets are to be in the primary when
   * this run sends requests to its canary.
   */
  rejectedBefore?: string[];
  /** Why the version was rejected. */
  message?: string;
  order?: Order;
}

const envelope = z.object({
  id: z.string().min(1),
  phase: z.enum(['held', 'promoting', 'rejected']),
  hash: z.string().min(1),
  stable: z.string().min(1),
  requester: z.string(),
  time: z.string(),
  spec: z.custom<CanarySpec>((v) => typeof v === 'object' && v !== null && 'analysis' in v).transform(completed),
  interrupted: z.string().optional(),
  rejectedBefore: z.array(z.string()).optional(),
  message: z.string().optional(),
  order: z.object({ command: z.enum(['promote', 'pause']), requester: z.string(), time: z.string() }).optional(),
});

/** A run that an earlier version of Sidestep began lacks the fields that came later: they take their defaults. */
function completed(spec: CanarySpec): CanarySpec {
  const parsed = schema.safeParse(spec);
  return parsed.success ? parsed.data : spec;
}

/**
 * The run recorded on an object, if any. What admission wrote always parses; anything else (an annotation forged before the webhook
 * was installed) counts as no run.
 */
export function runOf(object: { metadata: { annotations?: Record<string, string> } }): Run | undefined {
  const text = object.metadata.annotations?.[RUN];
  if (text === undefined) return undefined;
  try {
    const parsed = envelope.safeParse(JSON.parse(text));
    return parsed.success ? (parsed.data as Run) : undefined;
  } catch {
    return undefined;
  }
}

/** The annotations that record a run; to be written together, in one request. */
export const runAnnotations = (run: Run): Record<string, string> => ({
  [RUN]: JSON.stringify(run),
  [PHASE]: run.phase,
});

/** Longest reason kept in annotations, conditions and warnings. */
export const MAX_MESSAGE = 512;
export const clip = (text: string, max = MAX_MESSAGE): string =>
  text.length <= max ? text : `${text.slice(0, max - 1).toWellFormed()}…`;
