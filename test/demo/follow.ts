import pc from 'picocolors';
import { runOf } from '../../canary/run.ts';
import { type RunStatus, statusOf } from '../../canary/status.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import { type Load, type LoadStats, seen, shareOf } from '../e2e/support/load.ts';
import { bar, say, seconds } from './terminal.ts';

export interface Outcome {
  phase: string;
  message: string;
  /** From `kubectl apply` to the first answer of the new version, to the last change, to the end: milliseconds. */
  firstAnswerMs: number | undefined;
  endedMs: number;
  stats: LoadStats;
}

const LOOK_MS = 500;
/** A run of an hour's interval is no demo; neither is one that hangs. */
const LIMIT_MS = 3 * 3600_000;

/** Prints a line at each change of the run, with what the users' requests saw, until it ends. */
export async function follow(
  client: KubeClient,
  namespace: string,
  load: Load,
  version: string,
  appliedMs: number,
): Promise<Outcome> {
  let last = '';
  for (;;) {
    const primary = await client.get<Deployment>(DEPLOYMENTS, { namespace, name: 'reviews' });
    const status = statusOf(primary);
    const current = status && (runOf(primary)?.id ?? status.run) === status.run ? status : undefined;
    const stats = await load.stats();
    const key = current ? `${current.phase} ${current.weight} ${current.message}` : 'starting';
    if (current && key !== last) printLine(current, stats, version, appliedMs);
    last = key;
    if (
      current &&
      ['Succeeded', 'Failed', 'Cancelled'].includes(current.phase) &&
      Date.parse(current.startedAt) > appliedMs - 5000
    ) {
      return {
        phase: current.phase,
        message: current.message,
        firstAnswerMs: firstAnswer(stats, version, appliedMs),
        endedMs: Date.now() - appliedMs,
        stats,
      };
    }
    if (Date.now() - appliedMs > LIMIT_MS) throw new Error('the run did not end');
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function firstAnswer(stats: LoadStats, version: string, appliedMs: number): number | undefined {
  const answered = seen(stats, version);
  return answered && answered.firstMs - appliedMs;
}

function printLine(status: RunStatus, stats: LoadStats, version: string, appliedMs: number): void {
  const reading = (name: string) => status.metrics?.find((m) => m.name === name);
  const rate = reading('request-success-rate');
  const p99 = reading('request-duration');
  const seenShare = shareOf(stats, version, Date.now() - 6000, Date.now());
  say(
    [
      pc.dim(seconds(Date.now() - appliedMs).padStart(8)),
      status.phase.padEnd(12),
      `${bar(status.weight)} ${String(status.weight).padStart(3)} %`,
      `success ${rate?.value === undefined ? '   –  ' : `${rate.value.toFixed(1)} %`}`.padEnd(16),
      `P99 ${p99?.value === undefined ? '–' : `${Math.round(p99.value)} ms`}`.padEnd(12),
      `users saw ${version}: ${(seenShare.share * 100).toFixed(0).padStart(3)} %`,
      status.failedChecks > 0 ? pc.red(`failed checks ${status.failedChecks}/${status.threshold}`) : '',
    ].join('  '),
  );
  if (status.message && status.phase !== 'Progressing') say(pc.dim(`          ${status.message}`));
}
