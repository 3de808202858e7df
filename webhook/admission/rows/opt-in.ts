import { PAUSED_BY, PAUSED_BY_OPT_OUT, PHASE, PROMOTED, RUN, STATUS } from '../../../canary/annotations.ts';
import type { Change } from '../change.ts';
import type { Facts } from '../facts.ts';
import { RELEASED, type RowOutcome } from './row.ts';

const FORGOTTEN: Change = {
  annotations: { [RUN]: null, [PHASE]: null, [PROMOTED]: null, [STATUS]: null, [PAUSED_BY]: null },
};

/** Row 1: none of our business, but a pause of ours that an opt-out left is lifted with the next version or by the user. */
export function notOptedIn({ optedIn, wasOptedIn, leftPaused, templateChanged, input }: Facts): RowOutcome | undefined {
  if (optedIn || wasOptedIn || input.operation === 'CREATE') return undefined;
  if (!leftPaused || !templateChanged) return {};
  return {
    change: RELEASED,
    warnings: ['the pause that the opt-out from canary analysis left is lifted; the change rolls out natively'],
  };
}

/** Row 2, opted in or not: a first deployment is never analysed; whatever state a backup or an export brought along is dropped. */
export function created({ input, object }: Facts): RowOutcome | undefined {
  if (input.operation !== 'CREATE') return undefined;
  const annotations = object.metadata.annotations ?? {};
  if (!object.spec.paused || !(RUN in annotations || PAUSED_BY in annotations)) return {};
  return {
    change: { paused: false },
    warnings: [
      'the manifest carried the pause of an earlier canary run; it was removed, so that the Deployment can start',
    ],
  };
}

/**
 * Row 4: opt-out. The version that serves goes on serving: a held version stays behind our pause, marked, unless the same request
 * brings a change, which then rolls out natively.
 */
export function optOut({
  optedIn,
  wasOptedIn,
  run,
  templateChanged,
  leftPaused,
  input,
}: Facts): RowOutcome | undefined {
  if (optedIn || !wasOptedIn) return undefined;
  const behindPause = run?.phase === 'held' || run?.phase === 'rejected' || leftPaused;
  if (templateChanged) {
    return {
      change: behindPause ? { ...FORGOTTEN, paused: false } : FORGOTTEN,
      warnings: [`canary analysis of ${input.name} is off; this change rolls out natively`],
    };
  }
  if (!behindPause) return { change: FORGOTTEN };
  return {
    change: { annotations: { ...FORGOTTEN.annotations, [PAUSED_BY]: PAUSED_BY_OPT_OUT }, paused: true },
    warnings: [
      `canary analysis of ${input.name} is off; the stable version goes on serving and the held version stays paused: roll it out with kubectl rollout resume, or apply the next change`,
    ],
  };
}
