import { describe, expect, test } from 'vitest';
import { conditionOf, isDeadlineExceeded, PROMOTED_CONDITION } from '../../canary/conditions.ts';
import { runOf } from '../../canary/run.ts';
import { statusOf } from '../../canary/status.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import { Ground, plugin } from './support/clients.ts';
import { eventually, type Result, run, start } from './support/cluster.ts';
import { KstatusClient } from './support/kstatus.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

const SPEC = {
  ...QUICK,
  progressDeadlineSeconds: 12,
  analysis: { ...QUICK.analysis, interval: '2s', maxWeight: 20 },
};

/** Everybody who can be asked to wait, asked at the same time. */
function everybodyWaits(s: Scenario, kstatus: KstatusClient, seconds: number) {
  const target = ['-n', s.namespace, 'deployment/reviews', `--timeout=${seconds}s`];
  return {
    rolloutStatus: start('kubectl', ['rollout', 'status', ...target]).done,
    condition: start('kubectl', ['wait', '--for=condition=Promoted', ...target]).done,
    plugin: start(...plugin('wait', ...target)).done,
    kstatus: kstatus.wait(() => s.primary(), seconds * 1000),
  };
}

test('A5 everybody who waits is told the verdict, and none before it', () =>
  inScenario('a5', { spec: SPEC }, async (s) => {
    const kstatus = new KstatusClient();
    try {
      await s.apply({ version: 'v2' });
      const good = everybodyWaits(s, kstatus, 120);
      expect(await good.rolloutStatus).toMatchObject({ code: 0 });
      expect(await good.kstatus).toMatchObject({ code: 0, status: 'Current' });
      expect(await good.plugin).toMatchObject({ code: 0, stdout: expect.stringMatching(/run \w+ promoted/) });
      expect(await good.condition).toMatchObject({ code: 0 });
      await s.ended('Succeeded');
      await s.nothingLeft();

      const pushedMs = Date.now();
      await s.apply({ version: 'v3', env: { NEVER_READY: '1' } });
      const bad = everybodyWaits(s, kstatus, 45);
      const rejected = `--for=jsonpath={.metadata.annotations.sidestep\\.dev/phase}=rejected`;
      expect(await s.kubectl('wait', rejected, 'deployment/reviews', '--timeout=45s')).toMatchObject({ code: 0 });
      const rolloutStatus = await bad.rolloutStatus;
      expect(rolloutStatus).toMatchObject({ code: 1, stderr: expect.stringContaining('progress deadline') });
      // Not before the canary had its time.
      expect(rolloutStatus.atMs - pushedMs).toBeGreaterThan(SPEC.progressDeadlineSeconds * 1000);
      expect(await bad.kstatus).toMatchObject({ code: 1, status: 'Failed' });
      expect(await bad.plugin).toMatchObject({ code: 1, stdout: expect.stringMatching(/rolled back: .*ready/) });
      expect(await bad.condition).toMatchObject({ code: 1, stderr: expect.stringContaining('timed out') });
    } finally {
      kstatus.end();
    }
  }));

/** Tries on each of so many Deployments at a time: 200 in all. */
const LANES = 2;
const TRIES = 50;
/** An analyzer may be faster than the three kubectl that are asked; then their answers are about its verdict, and the try is made again. */
const MOST_LATE = 10;

const push = (ground: Ground, version: string): Promise<Deployment> =>
  ground.client.patch<Deployment>(DEPLOYMENTS, { namespace: ground.namespace, name: 'web' }, 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'web', env: [{ name: 'VERSION', value: version }] }] } } },
  });

const RIGHT = {
  kstatusAtOnce: 'InProgress',
  kstatus: 'InProgress',
  rolloutStatus: 'waits',
  kubectlWait: 'not met',
  condition: 'Unknown',
};
type Answers = Record<keyof typeof RIGHT, string>;

/** What three clients say directly after a push, and the library at once, in words that a false answer would change. */
async function ask(ground: Ground, kstatus: KstatusClient): Promise<Answers> {
  const target = ['-n', ground.namespace];
  const first = kstatus.of((await ground.deployment())!);
  const kubectl = (...args: string[]): Promise<Result> => run('kubectl', [...target, ...args]);
  const [rollout, done, condition] = await Promise.all([
    kubectl('rollout', 'status', 'deployment/web', '--watch=false'),
    kubectl('wait', '--for=condition=Promoted', 'deployment/web', '--timeout=0'),
    kubectl('get', 'deployment/web', '-o', 'jsonpath={.status.conditions[?(@.type=="Promoted")].status}'),
  ]);
  return {
    kstatusAtOnce: (await first).status,
    kstatus: (await kstatus.of((await ground.deployment())!)).status,
    rolloutStatus:
      rollout.code === 0 && rollout.stdout.startsWith('Waiting for') ? 'waits' : rollout.stderr || rollout.stdout,
    kubectlWait: done.code === 1 ? 'not met' : done.stdout,
    condition: condition.stdout,
  };
}

/** Brings the Deployment to where the push is to find it. */
type Before = (ground: Ground) => Promise<unknown>;

/** Nothing selects the Deployment's pods: each run ends as soon as its analyzer has looked, with the reason that there is no Service. */
const afterRollback: Before = (ground) =>
  eventually('the rollback of the version before', 60_000, async () => {
    const deployment = (await ground.deployment())!;
    const status = statusOf(deployment);
    return status?.run === runOf(deployment)?.id && status?.phase === 'Failed' && isDeadlineExceeded(deployment);
  });

/** A promotion needs users. What one leaves for the eye is put here by hand: the version that serves, and the condition. */
const afterPromotion: Before = async (ground) => {
  await push(ground, 'v1');
  const condition = { type: PROMOTED_CONDITION, status: 'True', reason: 'Promoted', message: 'promoted' };
  await eventually('the state after a promotion', 60_000, async () => {
    const target = { namespace: ground.namespace, name: 'web', subresource: 'status' as const };
    const deployment = await ground.client.patch<Deployment>(DEPLOYMENTS, target, 'strategic', {
      status: { conditions: [condition] },
    });
    const observed = deployment.status?.observedGeneration === deployment.metadata.generation;
    return observed && !deployment.spec.paused && conditionOf(deployment, PROMOTED_CONDITION)?.status === 'True';
  });
};

/** @returns what was answered wrongly, with the try */
async function lane(ground: Ground, before: Before): Promise<string[]> {
  const kstatus = new KstatusClient();
  const wrong: string[] = [];
  try {
    await ground.begin();
    await ground.send('v1', 'apply');
    await ground.ready();
    if (before === afterRollback) await push(ground, 'first');
    let late = 0;
    for (let i = 0; i < TRIES; ) {
      await before(ground);
      const pushed = runOf(await push(ground, `try-${i}-${late}`));
      expect(pushed?.phase).toBe('held');
      const answers = await ask(ground, kstatus);
      const now = runOf((await ground.deployment())!);
      expect(now?.id).toBe(pushed?.id);
      if (now?.phase === 'held') {
        for (const [who, answer] of Object.entries(answers))
          if (answer !== RIGHT[who as keyof Answers]) wrong.push(`try ${i}: ${who}: ${answer}`);
        i++;
      } else expect(++late, 'tries in which the analyzer was faster').toBeLessThanOrEqual(MOST_LATE);
    }
    return wrong;
  } finally {
    kstatus.end();
    await ground.end();
  }
}

describe.concurrent('A5 directly after a push no client is told an old verdict', () => {
  for (const [name, before] of Object.entries({ 'a rollback': afterRollback, 'a promotion': afterPromotion }))
    test(`that of ${name}, in ${LANES * TRIES} tries`, async () => {
      const lanes = Array.from({ length: LANES }, () => lane(new Ground('verdict', true), before));
      const results = await Promise.allSettled(lanes);
      expect(results.flatMap((r) => (r.status === 'rejected' ? [String(r.reason)] : r.value))).toEqual([]);
    });
});
