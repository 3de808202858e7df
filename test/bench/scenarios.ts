import { eventually, must, sleep } from '../e2e/support/cluster.ts';
import { NAMESPACE } from '../e2e/support/install.ts';
import { failures, type LoadStats, seen } from '../e2e/support/load.ts';
import { inScenario, type Scenario } from '../e2e/support/scenario.ts';
import * as fixtures from '../fixtures/manifests.ts';

/** The scenario of the comparison with Flagger: the tutorial's analysis at an interval of 10 s, windows of 30 s. */
export const INTERVAL_S = 10;
const STEPS = 5;
/** Requests of users per second; the load-test hook adds 20 to the canary. */
const RATE = 100;

const spec = (namespace: string, compared: boolean) => ({
  progressDeadlineSeconds: 60,
  service: { port: 9080, targetPort: 9080 },
  analysis: {
    interval: `${INTERVAL_S}s`,
    compare: { enabled: compared },
    threshold: 5,
    maxWeight: STEPS * 10,
    stepWeight: 10,
    metrics: [
      { name: 'request-success-rate', thresholdRange: { min: 99 }, interval: '30s' },
      { name: 'request-duration', thresholdRange: { max: 500 }, interval: '30s' },
    ],
    webhooks: [
      {
        name: 'load-test',
        url: 'http://loadtester/',
        timeout: '5s',
        metadata: { cmd: `hey -z 1m -q 10 -c 2 http://reviews-canary.${namespace}:9080/health` },
      },
    ],
  },
});

const seconds = (ms: number): number => Math.round(ms / 100) / 10;

/** A scenario as peers.md describes it; the spec names the namespace, so it is put in once that is known. */
async function measured<T>(
  name: string,
  options: { optIn?: boolean; replicas?: number; compared?: boolean; env?: Record<string, string> },
  body: (s: Scenario) => Promise<T>,
): Promise<T> {
  let result: T | undefined;
  const { compared = true, ...rest } = options;
  await inScenario(
    name,
    { rate: RATE, ...rest, objects: (namespace) => fixtures.loadtester({ namespace }), spec: {} },
    async (s) => {
      s.options.spec = spec(s.namespace, compared);
      await s.kubectl('rollout', 'status', 'deployment/loadtester', '--timeout=60s');
      if (options.optIn !== false) await s.apply({ version: 'v1', ...(options.env ? { env: options.env } : {}) });
      await s.load.reset();
      result = await body(s);
    },
  );
  return result!;
}

export interface Good {
  firstAnswerS: number;
  lastOldAnswerS: number;
  fullS: number;
  canaryRemovedS: number;
  overheadS: number;
  failed: number;
}

/** A good v2, from `kubectl apply` to the canary removed. */
export function goodVersion(): Promise<Good> {
  return measured('good', {}, async (s) => {
    const appliedMs = Date.now();
    await s.apply({ version: 'v2' });
    await eventually('the canary', 60_000, () => s.canary());
    await s.ended('Succeeded', 200_000);
    await eventually('the canary removed', 60_000, async () => (await s.canary()) === undefined);
    const removedMs = Date.now();
    await sleep(1000);
    const stats = await s.load.stats();
    const lastOldMs = seen(stats, 'v1')!.lastMs;
    const removed = seconds(removedMs - appliedMs);
    return {
      firstAnswerS: seconds(seen(stats, 'v2')!.firstMs - appliedMs),
      lastOldAnswerS: seconds(lastOldMs - appliedMs),
      fullS: seconds(lastOldMs - appliedMs),
      canaryRemovedS: removed,
      overheadS: Math.round((removed - STEPS * INTERVAL_S) * 10) / 10,
      failed: failures(stats),
    };
  });
}

export interface Bad {
  exposureS: number;
  failed: number;
  reported: string;
}

/** A v2 with this fault: how long users meet it, and how often. @param compared false: by thresholds alone, as Flagger judges */
export function badVersion(env: Record<string, string>, compared = true): Promise<Bad> {
  return measured('bad', { compared }, async (s) => {
    await s.apply({ version: 'v2', env });
    const status = await s.ended('Failed', 200_000);
    await s.nothingLeft();
    const stats = await s.load.stats();
    const { firstMs, lastMs } = seen(stats, 'v2')!;
    return { exposureS: seconds(lastMs - firstMs), failed: failures(stats), reported: status.message };
  });
}

/** Opt-in and opt-out of a running Deployment. */
export function optInAndOut(): Promise<{ restarts: number; failedIn: number; failedOut: number }> {
  return measured('opt', { optIn: false }, async (s) => {
    const uids = async () => (await s.pods()).map((p) => p.metadata.uid);
    const before = await uids();
    s.options.optIn = true;
    await s.apply({ version: 'v1' });
    await sleep(10_000);
    const after = await uids();
    const failedIn = failures(await s.load.stats());
    await s.load.reset();
    await s.apply({ version: 'v1', spec: null });
    await sleep(10_000);
    return {
      restarts: before.filter((uid) => !after.includes(uid)).length,
      failedIn,
      failedOut: failures(await s.load.stats()),
    };
  });
}

/** A bad v3 pushed while v2 is at 20 %: what users see of v3 before it has a run of its own. */
export function pushedV3(): Promise<{ unchecked: number; failed: number }> {
  return measured('push', {}, async (s) => {
    await s.apply({ version: 'v2' });
    await s.weight(20, 90_000);
    await s.apply({ version: 'v3', env: { ERROR_RATE: '1' } });
    const id = (await s.run())!.id;
    let before: LoadStats = await s.load.stats();
    await eventually('the first weight of v3', 60_000, async () => {
      const status = await s.status();
      if (status?.run === id && status.weight > 0) return true;
      before = await s.load.stats();
      return false;
    });
    const unchecked = Object.entries(before.totals).reduce(
      (n, [key, count]) => (key.endsWith('|v3') ? n + count : n),
      0,
    );
    await s.ended('Failed', 200_000);
    return { unchecked, failed: failures(await s.load.stats()) };
  });
}

/** A v2 that is never ready once more than one pod of it runs: where the users end. */
export function failedPromotion(): Promise<{ endsOn: string; failed: number; endedS: number }> {
  return measured('stuck', { replicas: 2 }, async (s) => {
    const appliedMs = Date.now();
    await s.apply({
      version: 'v2',
      env: { NEVER_READY_IF_MORE_THAN_ONE: '1', PEERS_HOST: `reviews-peers-v2.${s.namespace}` },
    });
    await s.ended('Failed', 300_000);
    await s.nothingLeft();
    const endedS = seconds(Date.now() - appliedMs);
    const failed = failures(await s.load.stats());
    await s.load.reset();
    await sleep(3000);
    const versions = Object.keys((await s.load.stats()).totals).map((key) => key.split('|')[1]);
    return { endsOn: [...new Set(versions)].join(' and '), failed, endedS };
  });
}

/** A fault that both versions have: what becomes of the run. */
export function sharedFault(): Promise<{ phase: string; failedChecks: number; weight: number }> {
  const env = { ERROR_RATE: '0.3' };
  return measured('shared', { env }, async (s) => {
    await s.apply({ version: 'v2', env });
    await s.weight(10, 90_000);
    await sleep(6 * INTERVAL_S * 1000);
    const { phase, failedChecks, weight } = (await s.status())!;
    return { phase, failedChecks, weight };
  });
}

/** The analyzer's pod is killed at 10 %, and nobody can start another: how long users still meet the canary. */
export function analyzerGone(): Promise<{ exposureS: number; failed: number }> {
  return measured('gone', {}, async (s) => {
    await s.apply({ version: 'v2' });
    await s.weight(10, 90_000);
    await scaleWebhook(0);
    try {
      const run = (await s.run())!.id;
      const inOurs = (...args: string[]) => must('kubectl', ['-n', NAMESPACE, ...args]);
      const { stdout } = await inOurs('get', 'pods', '-l', `sidestep.dev/run=${run}`, '-o', 'name');
      await inOurs('delete', stdout.trim(), '--force', '--grace-period=0');
      const killedMs = Date.now();
      await sleep(45_000);
      const stats = await s.load.stats();
      return { exposureS: seconds(seen(stats, 'v2')!.lastMs - killedMs), failed: failures(stats) };
    } finally {
      await scaleWebhook(2);
    }
  });
}

async function scaleWebhook(replicas: number): Promise<void> {
  const inOurs = (...args: string[]) => must('kubectl', ['-n', NAMESPACE, ...args]);
  await inOurs('scale', 'deployment/sidestep-webhook', `--replicas=${replicas}`);
  if (replicas > 0) await inOurs('rollout', 'status', 'deployment/sidestep-webhook', '--timeout=60s');
  else await inOurs('wait', '--for=delete', 'pod', '-l', 'app.kubernetes.io/component=webhook', '--timeout=60s');
}
