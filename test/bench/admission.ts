import { CANARY, ENABLED, SPEC } from '../../canary/annotations.ts';
import { rolloutComplete } from '../../canary/conditions.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import { eventually, must } from '../e2e/support/cluster.ts';
import { calls, histogram, percentWithin, quantileMs } from './histogram.ts';
import { OURS, type Place, type TakeDown, YES } from './webhooks.ts';

const NAMESPACE = 'bench-admission';
/** Deployments that are updated in turn. */
const TARGETS = 10;
const RATE = 100;
const SECONDS = 20;
/** Windows of so many seconds, one after the other: a moment in which the machine is busy elsewhere spoils but one. */
const WINDOWS = 5;
/** Compilers and caches on all sides: what is measured is a process that has been at work for a while. */
const WARM_UP_S = 20;

const target = (name: string, optedIn: boolean) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name,
    namespace: NAMESPACE,
    labels: { bench: 'target' },
    annotations: optedIn ? { [CANARY]: ENABLED, [SPEC]: 'analysis: {interval: 10s}' } : {},
  },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'pause', image: 'localhost/pause:1' }] },
    },
  },
});

/** PATCHes at a steady rate, open loop; every one must go well. @returns the clients' own times in ms */
async function load(seconds: number, patch: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  const running: Promise<void>[] = [];
  const fromMs = performance.now();
  for (let i = 0; i < RATE * seconds; i++) {
    const waitMs = fromMs + (i * 1000) / RATE - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const startedMs = performance.now();
    running.push(patch(i).then(() => void times.push(performance.now() - startedMs)));
  }
  await Promise.all(running);
  return times.sort((a, b) => a - b);
}

/** One window; milliseconds of the API server's histograms, but for the client's own. */
interface Window {
  addedP50Ms: number;
  addedP99Ms: number;
  yesP50Ms: number;
  yesP99Ms: number;
  /** Percent of the calls that took at most 5 ms, and 25 ms: the bounds of the histogram's buckets. */
  addedWithin: [number, number];
  yesWithin: [number, number];
  calls: number;
  clientP50Ms: number;
}

export interface Admission {
  /** Where the webhooks were, in words. */
  place: string;
  windows: Window[];
  callsNotOptedIn: number;
  callsNothingChanged: number;
}

async function measureWindow(patch: (i: number) => Promise<unknown>): Promise<Window> {
  const [oursBefore, yesBefore] = [await histogram(OURS), await histogram(YES)];
  const times = await load(SECONDS, patch);
  const [oursAfter, yesAfter] = [await histogram(OURS), await histogram(YES)];
  return {
    addedP50Ms: quantileMs(0.5, oursBefore, oursAfter),
    addedP99Ms: quantileMs(0.99, oursBefore, oursAfter),
    yesP50Ms: quantileMs(0.5, yesBefore, yesAfter),
    yesP99Ms: quantileMs(0.99, yesBefore, yesAfter),
    addedWithin: [percentWithin(5, oursBefore, oursAfter), percentWithin(25, oursBefore, oursAfter)],
    yesWithin: [percentWithin(5, yesBefore, yesAfter), percentWithin(25, yesBefore, yesAfter)],
    calls: calls(oursAfter) - calls(oursBefore),
    clientP50Ms: Math.round(times[Math.floor(times.length / 2)]! * 10) / 10,
  };
}

/**
 * What an update that is held anew waits for this webhook, by the API server's own histogram, beside a webhook that only says yes to the
 * very same requests. Server-side dry runs: each one is held like the first, and no run is started.
 */
export async function admission(client: KubeClient, place: Place): Promise<Admission> {
  await must('kubectl', ['create', 'namespace', NAMESPACE]);
  let takeDown: TakeDown | undefined;
  try {
    takeDown = await place.putUp(NAMESPACE);
    const names = Array.from({ length: TARGETS }, (_, i) => `target-${i}`);
    await must(
      'kubectl',
      ['apply', '-f', '-'],
      [...names.map((n) => target(n, true)), target('bystander', false)].map((o) => JSON.stringify(o)).join('\n---\n'),
    );
    for (const name of names)
      await eventually(`${name} rolled out`, 90_000, async () => {
        await place.startPods?.(client, NAMESPACE);
        return rolloutComplete(await client.get<Deployment>(DEPLOYMENTS, { namespace: NAMESPACE, name }));
      });
    const change = (name: string, body: object, query: Record<string, string> = {}) =>
      client.patch(DEPLOYMENTS, { namespace: NAMESPACE, name }, 'merge', body, { query });
    const held = (i: number) =>
      change(
        names[i % TARGETS]!,
        { spec: { template: { metadata: { annotations: { n: String(i) } } } } },
        { dryRun: 'All' },
      );
    await load(WARM_UP_S, held);
    const windows: Window[] = [];
    for (let i = 0; i < WINDOWS; i++) windows.push(await measureWindow(held));
    const notOptedIn = await callsDuring(() =>
      load(5, (i) =>
        change('bystander', { spec: { template: { metadata: { annotations: { n: String(i) } } } } }, { dryRun: 'All' }),
      ),
    );
    const nothing = await callsDuring(() =>
      load(5, (i) =>
        change(
          names[i % TARGETS]!,
          { metadata: { labels: { n: String(i) } }, spec: { replicas: 1 + (i % 2) } },
          { dryRun: 'All' },
        ),
      ),
    );
    return {
      place: place.name,
      windows,
      callsNotOptedIn: notOptedIn,
      callsNothingChanged: nothing,
    };
  } finally {
    await takeDown?.();
    await must('kubectl', ['delete', 'namespace', NAMESPACE, '--wait=false']);
  }
}

async function callsDuring(body: () => Promise<unknown>): Promise<number> {
  const before = calls(await histogram(OURS));
  await body();
  return calls(await histogram(OURS)) - before;
}
