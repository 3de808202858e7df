import * as keys from '../../canary/annotations.ts';
import { sameTemplate, templateHash } from '../../canary/hash.ts';
import { type Run, runOf } from '../../canary/run.ts';
import type { Deployment } from '../../kube/types.ts';
import { type SpecOutcome, specFor } from './spec.ts';
import type { AdmissionInput, Reads, Settings } from './types.ts';

/** What the rows of the table ask about a request. Costly answers are computed when first asked for, once. */
export interface Facts {
  readonly input: AdmissionInput;
  readonly reads: Reads;
  readonly settings: Settings;
  readonly object: Deployment;
  /** Absent for CREATE. */
  readonly old: Deployment | undefined;
  readonly optedIn: boolean;
  readonly wasOptedIn: boolean;
  /** The stored Deployment is paused, by whomever. */
  readonly wasPaused: boolean;
  /** The request comes from the analyzer's own account. */
  readonly fromAnalyzer: boolean;
  /** The run recorded on the stored object: what the request says of it does not count. */
  readonly run: Run | undefined;
  /** A pause of ours that an opt-out left, with a version behind it. */
  readonly leftPaused: boolean;
  /** With no run on: the request asks for a pause, and not because an earlier call of ours about the same request has put one there. */
  readonly asksForPause: boolean;
  readonly templateChanged: boolean;
  readonly hash: string;
  /** Undefined for CREATE. */
  readonly oldHash: string | undefined;
  /** The analysis that holds for the object, or the refusal. */
  analysis(): Promise<SpecOutcome>;
}

const isOptedIn = (d: Deployment | undefined): boolean => d?.metadata.annotations?.[keys.CANARY] === keys.ENABLED;

export function factsOf(input: AdmissionInput, reads: Reads, settings: Settings): Facts {
  const { object, oldObject: old } = input;
  const wasOptedIn = isOptedIn(old);
  const wasPaused = old?.spec.paused === true;
  const lazy = {
    templateChanged: once(() => old === undefined || !sameTemplate(old.spec.template, object.spec.template)),
    hash: once(() => templateHash(object.spec.template)),
    oldHash: once(() => old && templateHash(old.spec.template)),
  };
  const facts: Facts = {
    input,
    reads,
    settings,
    object,
    old,
    optedIn: isOptedIn(object),
    wasOptedIn,
    wasPaused,
    fromAnalyzer: input.requester.username === settings.analyzerUser,
    // What stands on an object that was not opted in, nobody has guarded: it is no state.
    run: wasOptedIn && old ? runOf(old) : undefined,
    leftPaused: old?.metadata.annotations?.[keys.PAUSED_BY] === keys.PAUSED_BY_OPT_OUT && wasPaused,
    get asksForPause() {
      return object.spec.paused === true && runOf(object)?.hash !== facts.hash;
    },
    get templateChanged() {
      return lazy.templateChanged();
    },
    get hash() {
      return lazy.hash();
    },
    get oldHash() {
      return lazy.oldHash();
    },
    analysis: once(() => specFor(facts)),
  };
  return facts;
}

function once<T>(compute: () => T): () => T {
  let known: { value: T } | undefined;
  return () => {
    known ??= { value: compute() };
    return known.value;
  };
}
