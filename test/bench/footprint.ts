import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { CANARY, ENABLED } from '../../canary/annotations.ts';
import type { KubeClient } from '../../kube/client.ts';
import { PODS } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { paths } from '../cluster/index.ts';
import { must, run, sleep } from '../e2e/support/cluster.ts';
import { NAMESPACE } from '../e2e/support/install.ts';

const CROWD = 'bench-crowd';
const OPTED_IN = 100;
const OTHERS = 1000;
/** At rest means: no run on, nothing changed for a while. */
const REST_S = 60;

export interface Footprint {
  webhookRssMb: number;
  webhookReadyMs: number;
  requestsPerSecondAtRest: number | undefined;
  emptyNodeRssMb: number;
}

async function webhookPods(client: KubeClient): Promise<Pod[]> {
  const { items } = await client.list<Pod>(
    PODS,
    { namespace: NAMESPACE },
    { query: { labelSelector: 'app.kubernetes.io/component=webhook' } },
  );
  return items.filter((p) => p.status?.phase === 'Running' && !p.metadata.deletionTimestamp);
}

/** Memory and requests of the webhook with 100 opted-in Deployments among 1,000 others, and its start. */
export async function footprint(client: KubeClient): Promise<Footprint> {
  await must('kubectl', ['create', 'namespace', CROWD]);
  try {
    const all = Array.from({ length: OPTED_IN + OTHERS }, (_, i) => deployment(i));
    for (let i = 0; i < all.length; i += 100) {
      await must(
        'kubectl',
        ['create', '-f', '-'],
        all
          .slice(i, i + 100)
          .map((o) => JSON.stringify(o))
          .join('\n---\n'),
      );
    }
    await must('kubectl', ['-n', NAMESPACE, 'rollout', 'restart', 'deployment/sidestep-webhook']);
    await must('kubectl', ['-n', NAMESPACE, 'rollout', 'status', 'deployment/sidestep-webhook', '--timeout=120s']);
    await sleep(30_000);
    const requests = await requestsAtRest();
    const pods = await webhookPods(client);
    const rss = await Promise.all(pods.map(rssMb));
    return {
      webhookRssMb: Math.max(...rss),
      webhookReadyMs: await readyMs(pods[0]!),
      requestsPerSecondAtRest: requests,
      emptyNodeRssMb: await emptyNode(),
    };
  } finally {
    await run('kubectl', ['delete', 'namespace', CROWD, '--wait=false']);
  }
}

const deployment = (i: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: `crowd-${i}`, namespace: CROWD, annotations: i < OPTED_IN ? { [CANARY]: ENABLED } : {} },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: `crowd-${i}` } },
    template: {
      metadata: { labels: { app: `crowd-${i}` } },
      spec: { containers: [{ name: 'pause', image: 'localhost/pause:1' }] },
    },
  },
});

async function rssMb({ metadata }: Pod): Promise<number> {
  const { stdout } = await must('kubectl', [
    'get',
    '--raw',
    `/api/v1/namespaces/${NAMESPACE}/pods/${metadata.name}:8080/proxy/metrics`,
  ]);
  return Math.round(Number(/^process_resident_memory_bytes (\S+)/m.exec(stdout)![1]) / 1e5) / 10;
}

/** The process says itself how long it took from its start until it could answer. */
async function readyMs({ metadata }: Pod): Promise<number> {
  const { stdout } = await must('kubectl', ['-n', NAMESPACE, 'logs', metadata.name]);
  const line = stdout.split('\n').find((l) => l.includes('"sinceStartMs"'));
  return line ? (JSON.parse(line) as { sinceStartMs: number }).sinceStartMs : Number.NaN;
}

/** Requests of Sidestep's own accounts in the audit log of the embedded cluster; unknown on any other. Watches count when they end. */
async function requestsAtRest(): Promise<number | undefined> {
  if (process.env['SIDESTEP_KUBECONFIG']) return undefined;
  const log = paths().auditLog;
  const from = statSync(log).size;
  await sleep(REST_S * 1000);
  const grown = Buffer.alloc(statSync(log).size - from);
  const file = openSync(log, 'r');
  readSync(file, grown, 0, grown.length, from);
  closeSync(file);
  const ours = grown
    .toString('utf8')
    .split('\n')
    .filter(
      (l) =>
        l.includes(`"username":"system:serviceaccount:${NAMESPACE}:sidestep-webhook"`) && !l.includes('"verb":"watch"'),
    );
  return Math.round((ours.length / REST_S) * 1000) / 1000;
}

/** What Node itself takes, in the same image with the same flags. */
async function emptyNode(): Promise<number> {
  const image = process.env['SIDESTEP_IMAGE'] ?? 'localhost/sidestep:dev';
  const name = 'bench-empty-node';
  const script = 'console.log(process.memoryUsage().rss)';
  const inDefault = (...args: string[]) => must('kubectl', ['-n', 'default', ...args]);
  await inDefault('run', name, '--image', image, '--restart=Never', '--', '-e', script);
  try {
    await inDefault('wait', `pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s');
    const { stdout } = await inDefault('logs', name);
    return Math.round(Number(/\d+/.exec(stdout)?.[0] ?? Number.NaN) / 1e5) / 10;
  } finally {
    await inDefault('delete', 'pod', name, '--wait=false');
  }
}

/** From the analyzers' logs: start to first write in ms, and most memory in MB. */
export async function analyzers(): Promise<{ firstWriteMs: number[]; rssMb: number[] }> {
  const { stdout } = await must('kubectl', [
    '-n',
    NAMESPACE,
    'logs',
    '-l',
    'app.kubernetes.io/managed-by=sidestep',
    '--tail=-1',
    '--max-log-requests=100',
  ]);
  const lines = stdout
    .split('\n')
    .filter((l) => l.startsWith('{'))
    .map((l) => JSON.parse(l) as Record<string, unknown>);
  const numbers = (key: string) => lines.flatMap((l) => (typeof l[key] === 'number' ? [l[key]] : []));
  return { firstWriteMs: numbers('sinceStartMs'), rssMb: numbers('maxRssMb') };
}
