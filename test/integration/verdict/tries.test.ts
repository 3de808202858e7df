import { afterAll, beforeAll, expect, test } from 'vitest';
import * as keys from '../../../canary/annotations.ts';
import {
  type condition,
  conditionOf,
  DEADLINE_EXCEEDED,
  isDeadlineExceeded,
  PROGRESSING,
  PROMOTED_CONDITION,
} from '../../../canary/conditions.ts';
import { decisionAnnotation, type Verdict } from '../../../canary/decision.ts';
import { type Run, runOf } from '../../../canary/run.ts';
import { statusAnnotation } from '../../../canary/status.ts';
import { DEPLOYMENTS } from '../../../kube/resources.ts';
import type { Deployment } from '../../../kube/types.ts';
import { startInformer } from '../../../kube/watch.ts';
import { eventually, start } from '../../e2e/support/cluster.ts';
import { KstatusClient } from '../../e2e/support/kstatus.ts';
import { Admission } from '../hostile/admission.ts';

// 200 versions, one after the other on each of a few Deployments, with real clients that wait for the verdict on each. The verdicts are
// written as the analyzer writes them, by its account; all else is real: admission, launcher, policies, the Deployment controller.

const LANES = 4;
const TRIES = 50;
/** Each verdict after each other one. */
const VERDICTS = ['promoted', 'rejected', 'rejected', 'promoted'] as const;
const WAIT_S = 60;

const at = new Admission();
beforeAll(() => at.start(), 180_000);
afterAll(() => at.stop(), 60_000);

/** Every state of a Deployment that the API server stored, in order, as any client with a watch sees it. */
function watch(name: string) {
  const stop = new AbortController();
  let states: Deployment[] = [];
  const informer = startInformer<Deployment>({
    client: at.admin,
    resource: DEPLOYMENTS,
    target: { namespace: at.shop },
    query: { fieldSelector: `metadata.name=${name}` },
    signal: stop.signal,
    onChange: (deployment) => states.push(deployment),
  });
  return {
    synced: () => eventually(`a watch of ${name}`, 20_000, async () => informer.synced() || undefined),
    forget: () => {
      states = [];
    },
    states: () => states,
    end: () => stop.abort(),
  };
}
type Watch = ReturnType<typeof watch>;

/** The clients go by the conditions as soon as the generation is observed; then neither may tell of the version before. */
const misleads = (d: Deployment): boolean =>
  (d.status?.observedGeneration ?? 0) >= d.metadata.generation! &&
  (isDeadlineExceeded(d) || conditionOf(d, PROMOTED_CONDITION)?.status === 'True');

const told = (d: Deployment) =>
  `generation ${d.metadata.generation}, observed ${d.status?.observedGeneration}: ` +
  (d.status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`).join(', ');

/** What a state would make any client believe that waits for the verdict on `run`. */
async function falseVerdicts(states: Deployment[], run: string, kstatus: KstatusClient): Promise<string[]> {
  const wrong: string[] = [];
  for (const d of states.filter((state) => runOf(state)?.id === run && runOf(state)?.phase === 'held')) {
    const { status, message } = await kstatus.of(d);
    if (status !== 'InProgress') wrong.push(`kstatus: ${status}, ${message}; ${told(d)}`);
    if (misleads(d)) wrong.push(told(d));
  }
  return wrong;
}

const decide = (name: string, run: Run, verdict: Verdict) =>
  at.annotate(name, decisionAnnotation({ run: run.id, verdict }), at.analyzer);

type Conditions = Parameters<typeof condition>[2][];

const conclude = (name: string, run: Run, phase: 'Succeeded' | 'Failed', conditions: Conditions) => {
  const now = new Date().toISOString();
  const report = {
    ...{ run: run.id, attempt: 1, phase, weight: 0, step: 0, steps: 1, failedChecks: 0, threshold: 1, replicas: 1 },
    ...{ message: phase, startedAt: now, updatedAt: now },
  };
  const target = { namespace: at.shop, name, subresource: 'status' as const };
  const body = { metadata: { annotations: statusAnnotation(report) }, status: { conditions } };
  return at.analyzer.patch<Deployment>(DEPLOYMENTS, target, 'strategic', body);
};

async function promote(name: string, run: Run): Promise<void> {
  await decide(name, run, 'promote');
  await at.rolledOut(name);
  await decide(name, run, 'complete');
  const promoted = { type: PROMOTED_CONDITION, status: 'True', reason: 'Promoted', message: 'promoted' } as const;
  await conclude(name, run, 'Succeeded', [promoted]);
}

async function reject(name: string, run: Run): Promise<void> {
  await decide(name, run, 'rollback');
  const message = 'rolled back';
  await conclude(name, run, 'Failed', [
    { type: PROMOTED_CONDITION, status: 'False', reason: 'RolledBack', message },
    { type: PROGRESSING, status: 'False', reason: DEADLINE_EXCEEDED, message },
  ]);
}

/** kubectl, asked directly after the push. */
function waiters(name: string) {
  const target = ['-n', at.shop, `deployment/${name}`, `--timeout=${WAIT_S}s`];
  const rollout = start('kubectl', ['rollout', 'status', ...target]);
  const condition = start('kubectl', ['wait', '--for=condition=Promoted', ...target]);
  const answered: string[] = [];
  void rollout.done.then(() => answered.push('kubectl rollout status'));
  void condition.done.then(() => answered.push('kubectl wait'));
  return { rollout, condition, answered };
}

/** One version. @returns what somebody was told wrongly */
async function attempt(name: string, i: number, seen: Watch, kstatus: KstatusClient): Promise<string[]> {
  const verdict = VERDICTS[i % VERDICTS.length]!;
  seen.forget();
  const run = runOf(await at.push(name, `try-${i}`))!;
  expect(run.phase).toBe('held');
  const { rollout, condition, answered } = waiters(name);
  try {
    await eventually('kubectl at the wait', 20_000, async () => rollout.stdout().includes('Waiting for') || undefined);
    await eventually('the new generation observed', 20_000, async () => {
      const d = seen.states().at(-1);
      return d?.status?.observedGeneration === d?.metadata.generation || undefined;
    });
    const wrong = [
      ...answered.map((who) => `${who}: too early`),
      ...(await falseVerdicts(seen.states(), run.id, kstatus)),
    ];
    await (verdict === 'promoted' ? promote : reject)(name, run);
    const { code } = await rollout.done;
    if (code !== (verdict === 'promoted' ? 0 : 1)) wrong.push(`kubectl rollout status: ${code}`);
    // The controller says so a moment after kubectl.
    const last = await kstatus.wait(() => at.get(name), WAIT_S * 1000);
    if (last.status !== (verdict === 'promoted' ? 'Current' : 'Failed'))
      wrong.push(`kstatus at the end: ${last.status}, ${last.message}`);
    if (verdict === 'promoted' && (await condition.done).code !== 0) wrong.push('kubectl wait: not told');
    return wrong.map((text) => `${name}, try ${i}, ${verdict}: ${text}`);
  } finally {
    // On a rejected version it would wait for its time-out, or the next promotion.
    rollout.kill();
    condition.kill();
  }
}

async function lane(name: string): Promise<string[]> {
  const kstatus = new KstatusClient();
  await at.running(name, { [keys.CANARY]: keys.ENABLED, [keys.SPEC]: '{service: {port: 80}}' });
  const seen = watch(name);
  try {
    await seen.synced();
    const wrong: string[] = [];
    for (let i = 0; i < TRIES; i++) wrong.push(...(await attempt(name, i, seen, kstatus)));
    return wrong;
  } finally {
    seen.end();
    kstatus.end();
  }
}

test(`in ${LANES * TRIES} tries nobody who waits is told the verdict on another version`, async () => {
  const lanes = await Promise.all(Array.from({ length: LANES }, (_, i) => lane(`web-${i}`)));
  expect(lanes.flat()).toEqual([]);
}, 300_000);
