import { CANARY, ENABLED } from '../canary/annotations.ts';
import { templateHash } from '../canary/hash.ts';
import { promotedOf } from '../canary/promoted.ts';
import { type Run, runOf } from '../canary/run.ts';
import { type RunStatus, statusOf } from '../canary/status.ts';
import type { Deployment } from '../kube/types.ts';

/** promoted and nothing (to wait for) are good ends, rejected and cancelled are bad ones. */
export type End = 'promoted' | 'nothing' | 'rejected' | 'cancelled';

/** What one look at the Deployment says about the run that is waited for. */
export interface Look {
  /** Absent while there is no verdict. */
  end?: End;
  /** For a person, without the Deployment's name. */
  line: string;
}

/**
 * Judges by the record that admission keeps, never by conditions: those have no generation, and one of the version before may still be
 * there when the next version is held. The record is written in the same request as the hold.
 * @param followed the run that was on at the first look; undefined at the first look
 * @param deployment undefined if there is none (any more)
 */
export function look(followed: Run | undefined, deployment: Deployment | undefined): Look {
  if (!deployment) return { end: 'cancelled', line: 'the Deployment was deleted' };
  const run = runOf(deployment);
  if (followed && run?.id !== followed.id) return ended(followed, run, deployment);
  if (!run) return { end: 'nothing', line: nothingOn(deployment) };
  if (run.phase === 'rejected')
    return { end: 'rejected', line: `run ${run.id} rolled back: ${run.message ?? 'no reason was recorded'}` };
  return { line: `run ${run.id}: ${progress(run, statusOf(deployment))}` };
}

function nothingOn({ metadata, spec }: Deployment): string {
  if (metadata.annotations?.[CANARY] !== ENABLED) return 'not opted in to canary analysis: nothing to wait for';
  if (spec.paused) return 'paused by its owner, no version is held by Sidestep: nothing to wait for';
  return 'no version is held: nothing to wait for';
}

function ended(followed: Run, now: Run | undefined, deployment: Deployment): Look {
  const name = `run ${followed.id}`;
  // A version promoted earlier may be in the record from then.
  const promoted = promotedOf(deployment).some(({ hash, time }) => hash === followed.hash && time >= followed.time);
  if (promoted) return { end: 'promoted', line: `${name} promoted` };
  if (now) return { end: 'cancelled', line: `${name} cancelled: run ${now.id} took its place` };
  return { end: 'cancelled', line: `${name} cancelled: ${whyCancelled(followed, deployment)}` };
}

function whyCancelled(followed: Run, { metadata, spec }: Deployment): string {
  if (metadata.annotations?.[CANARY] !== ENABLED) return 'the Deployment was opted out';
  const hash = templateHash(spec.template);
  if (hash === followed.stable) return 'the stable version was applied again';
  return hash === followed.hash ? 'the version rolls out without analysis' : 'another version rolls out';
}

function progress(run: Run, status: RunStatus | undefined): string {
  if (run.phase === 'promoting') return 'promoting, the primary rolls to the new version';
  if (status?.run !== run.id) return 'the analysis is starting';
  const { phase, weight, step, steps, failedChecks, threshold, message } = status;
  const checks = threshold > 0 ? `, ${failedChecks} of ${threshold} failed checks` : '';
  const steps_ = steps > 0 ? `, step ${step} of ${steps}` : '';
  return `${phase}, ${weight} % of the requests${steps_}${checks}${message ? `: ${message}` : ''}`;
}
