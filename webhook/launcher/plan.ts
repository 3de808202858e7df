import { conditionOf, PROMOTED_CONDITION } from '../../canary/conditions.ts';
import { type Run, runOf } from '../../canary/run.ts';
import { isEndPhase, statusOf } from '../../canary/status.ts';
import { needsReset, type WatchedDeployment } from './conditions.ts';
import { type Attempt, deadlineSeconds, type PastAttempt } from './job.ts';

/** After this many attempts that died, or ended without an end of the run, the next ones only roll back. */
export const MAX_ATTEMPTS = 5;
/** And after this many there is nothing left that another one could mend. */
export const GIVE_UP_AFTER = 30;

const BACKOFF_MIN_MS = 1000;
const BACKOFF_MAX_MS = 60_000;
/** A Job may end a moment before our copy of the Deployment shows what it decided. */
const SETTLE_MS = 10_000;

/** All that is known about one Deployment, by uid: itself, if it is there and opted in, and the attempts at its runs. */
export interface Subject {
  deployment?: WatchedDeployment | undefined;
  attempts: readonly PastAttempt[];
}

export type Action =
  /** An earlier verdict's conditions would answer for the version that is held now. */
  | { kind: 'reset-conditions'; deployment: WatchedDeployment; run: Run }
  /** The verdict on a version that has been reverted stands for nothing any more. */
  | { kind: 'clear-condition'; deployment: WatchedDeployment }
  | { kind: 'launch'; attempt: Attempt }
  | { kind: 'wait'; untilMs: number }
  | { kind: 'give-up'; attempt: PastAttempt };

/** What has to be done for one Deployment now. Pure: the same knowledge gives the same actions, in every replica, any number of times. */
export function plan({ deployment, attempts }: Subject, nowMs: number): Action[] {
  const run = deployment && runOf(deployment);
  return [...conditionActions(deployment, run, attempts), ...launchActions(deployment, run, attempts, nowMs)];
}

function conditionActions(
  deployment: WatchedDeployment | undefined,
  run: Run | undefined,
  attempts: readonly PastAttempt[],
): Action[] {
  if (!deployment) return [];
  if (run)
    return run.phase !== 'promoting' && needsReset(deployment, run)
      ? [{ kind: 'reset-conditions', deployment, run }]
      : [];
  const promoted = conditionOf(deployment, PROMOTED_CONDITION);
  const settled = newestOfEachRun(attempts).every(({ state }) => state === 'complete');
  return promoted && promoted.status !== 'True' && settled ? [{ kind: 'clear-condition', deployment }] : [];
}

function launchActions(
  deployment: WatchedDeployment | undefined,
  run: Run | undefined,
  attempts: readonly PastAttempt[],
  nowMs: number,
): Action[] {
  // Whatever run it works for, two must never work on one Deployment; it ends by itself when its run is gone.
  if (attempts.some(({ state }) => state === 'active')) return [];
  const newest = newestOfEachRun(attempts);
  const given: Action[] = [];
  for (const dead of unclean(newest, run)) {
    if (dead.attempt < GIVE_UP_AFTER)
      return [...given, again(dead, run, dead.endedMs! + backoffMs(dead.attempt), nowMs)];
    given.push({ kind: 'give-up', attempt: dead });
    if (dead.run === run?.id) return given;
  }
  return [...given, ...current(deployment, run, newest, nowMs)];
}

/** Runs whose last attempt died. What they left in the cluster is cleared up before anything of the current run starts. */
function unclean(newest: PastAttempt[], run: Run | undefined): PastAttempt[] {
  const dead = newest.filter(({ state }) => state === 'failed').sort((a, b) => a.endedMs! - b.endedMs!);
  return [...dead.filter((a) => a.run !== run?.id), ...dead.filter((a) => a.run === run?.id)];
}

/**
 * The run that wants an analyzer: none has worked for it yet, or the last one ended although the run has not. One that was aborted before
 * its analyzer was started wants it too: its primary may still be between two versions, and nobody has said what became of it.
 */
function current(
  deployment: WatchedDeployment | undefined,
  run: Run | undefined,
  newest: PastAttempt[],
  nowMs: number,
): Action[] {
  if (!deployment || !run || isOver(deployment, run)) return [];
  const last = newest.find((a) => a.run === run.id);
  if (last?.state === 'failed') return [];
  if (last) {
    if (last.attempt >= GIVE_UP_AFTER) return [{ kind: 'give-up', attempt: last }];
    return [again(last, run, last.endedMs! + Math.max(SETTLE_MS, backoffMs(last.attempt)), nowMs)];
  }
  const { namespace, name, uid } = deployment.metadata;
  const first = { uid: uid!, namespace: namespace!, deployment: name, run: run.id, attempt: 1 };
  return [{ kind: 'launch', attempt: { ...first, rollbackOnly: false, deadlineSeconds: deadlineSeconds(run) } }];
}

/** Jobs are deleted after a while; that a rejection was carried out is known by its report. */
function isOver(deployment: WatchedDeployment, { id, phase }: Run): boolean {
  const status = statusOf(deployment);
  return phase === 'rejected' && status?.run === id && isEndPhase(status.phase);
}

function again(last: PastAttempt, run: Run | undefined, dueMs: number, nowMs: number): Action {
  if (nowMs < dueMs) return { kind: 'wait', untilMs: dueMs };
  const { uid, namespace, deployment } = last;
  const attempt = last.attempt + 1;
  // A pause may last longer than any number of attempts, none of which died of it.
  const outlasted = last.expired === true && run?.id === last.run && run.order?.command === 'pause';
  const deadline = run?.id === last.run ? deadlineSeconds(run) : last.deadlineSeconds;
  return {
    kind: 'launch',
    attempt: {
      uid,
      namespace,
      deployment,
      run: last.run,
      attempt,
      rollbackOnly: attempt > MAX_ATTEMPTS && !outlasted,
      deadlineSeconds: deadline,
    },
  };
}

/** @param attempt the one that ended */
export const backoffMs = (attempt: number): number => Math.min(BACKOFF_MIN_MS * 2 ** (attempt - 1), BACKOFF_MAX_MS);

function newestOfEachRun(attempts: readonly PastAttempt[]): PastAttempt[] {
  const newest = new Map<string, PastAttempt>();
  for (const a of attempts) if (a.attempt > (newest.get(a.run)?.attempt ?? 0)) newest.set(a.run, a);
  return [...newest.values()];
}
