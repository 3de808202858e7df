import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CANARY, ENABLED, SPEC } from '../../canary/annotations.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import { eventually, must } from '../e2e/support/cluster.ts';
import { FIXTURES_IMAGE } from '../fixtures/manifests.ts';

const NAMESPACE = 'bench-admission';
/** Deployments that are updated in turn. */
const TARGETS = 10;
const RATE = 100;
const SECONDS = 30;
/** Compilers and caches on all sides: what is measured is a process that has been at work for a while. */
const WARM_UP_S = 20;
const OURS = 'canary.sidestep.dev';
const YES = 'yes.bench.sidestep.dev';

/** Cumulative counts of the API server's histogram of one webhook: upper bound in seconds → calls. */
type Histogram = Map<number, number>;

async function histogram(webhook: string): Promise<Histogram> {
  const { stdout } = await must('kubectl', ['get', '--raw', '/metrics']);
  const counts: Histogram = new Map();
  const name = 'apiserver_admission_webhook_admission_duration_seconds_bucket{';
  for (const line of stdout.split('\n')) {
    if (!line.startsWith(name) || !line.includes(`name="${webhook}"`)) continue;
    const le = /le="([^"]+)"/.exec(line)![1]!;
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    counts.set(bound, (counts.get(bound) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
  }
  return counts;
}

const calls = (h: Histogram): number => h.get(Number.POSITIVE_INFINITY) ?? 0;

/** Quantile in ms between two readings, linear within its bucket as Prometheus does it. */
function quantileMs(q: number, before: Histogram, after: Histogram): number {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const grown = (le: number) => (after.get(le) ?? 0) - (before.get(le) ?? 0);
  const rank = q * grown(Number.POSITIVE_INFINITY);
  let start = 0;
  let below = 0;
  for (const le of bounds) {
    const count = grown(le);
    if (count >= rank)
      return le === Number.POSITIVE_INFINITY
        ? start * 1000
        : Math.round((start + ((le - start) * (rank - below)) / (count - below)) * 1e6) / 1e3;
    start = le;
    below = count;
  }
  return Number.NaN;
}

/** A webhook that reads its review and says yes: what any webhook costs. */
const YES_SERVER = `
const https = require('https'), fs = require('fs');
https.createServer({ key: fs.readFileSync('/tls/tls.key'), cert: fs.readFileSync('/tls/tls.crt'), keepAliveTimeout: 120000 }, (q, s) => {
  let b = ''; q.on('data', (c) => (b += c)); q.on('end', () => {
    const uid = b ? JSON.parse(b).request.uid : '';
    const out = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } });
    s.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(out) }).end(out);
  });
}).listen(8443);`;

async function installYes(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sidestep-bench-'));
  try {
    const [key, crt] = [join(folder, 'tls.key'), join(folder, 'tls.crt')];
    const host = `yes.${NAMESPACE}.svc`;
    await must('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${host}`,
      '-addext',
      `subjectAltName=DNS:${host}`,
      '-keyout',
      key,
      '-out',
      crt,
    ]);
    const encoded = (file: string) => readFileSync(file).toString('base64');
    const labels = { app: 'yes' };
    const objects = [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'yes', namespace: NAMESPACE },
        data: { 'tls.key': encoded(key), 'tls.crt': encoded(crt) },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'yes', namespace: NAMESPACE },
        spec: { selector: labels, ports: [{ port: 443, targetPort: 8443 }] },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'yes', namespace: NAMESPACE },
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              terminationGracePeriodSeconds: 0,
              containers: [
                {
                  name: 'yes',
                  image: FIXTURES_IMAGE,
                  command: ['node', '-e', YES_SERVER],
                  readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
                  volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
                },
              ],
              volumes: [{ name: 'tls', secret: { secretName: 'yes' } }],
            },
          },
        },
      },
      {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'aa-bench-yes' },
        webhooks: [
          {
            name: YES,
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            timeoutSeconds: 3,
            clientConfig: { service: { name: 'yes', namespace: NAMESPACE }, caBundle: encoded(crt) },
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': NAMESPACE } },
            objectSelector: { matchLabels: { bench: 'target' } },
            rules: [{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'], operations: ['UPDATE'] }],
          },
        ],
      },
    ];
    await must('kubectl', ['apply', '-f', '-'], objects.map((o) => JSON.stringify(o)).join('\n---\n'));
    await must('kubectl', ['-n', NAMESPACE, 'rollout', 'status', 'deployment/yes', '--timeout=60s']);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

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

export interface Admission {
  addedP50Ms: number;
  addedP99Ms: number;
  yesP50Ms: number;
  yesP99Ms: number;
  calls: number;
  callsNotOptedIn: number;
  callsNothingChanged: number;
  clientP50Ms: number;
}

/**
 * What an update that is held anew waits for this webhook, by the API server's own histogram, beside a webhook that only says yes to the
 * very same requests. Server-side dry runs: each one is held like the first, and no run is started.
 */
export async function admission(client: KubeClient): Promise<Admission> {
  await must('kubectl', ['create', 'namespace', NAMESPACE]);
  try {
    await installYes();
    const names = Array.from({ length: TARGETS }, (_, i) => `target-${i}`);
    await must(
      'kubectl',
      ['apply', '-f', '-'],
      [...names.map((n) => target(n, true)), target('bystander', false)].map((o) => JSON.stringify(o)).join('\n---\n'),
    );
    for (const name of names)
      await must('kubectl', ['-n', NAMESPACE, 'rollout', 'status', `deployment/${name}`, '--timeout=90s']);
    await eventually('quiet Deployments', 20_000, async () => true);
    const change = (name: string, body: object, query: Record<string, string> = {}) =>
      client.patch(DEPLOYMENTS, { namespace: NAMESPACE, name }, 'merge', body, { query });
    const held = (i: number) =>
      change(
        names[i % TARGETS]!,
        { spec: { template: { metadata: { annotations: { n: String(i) } } } } },
        { dryRun: 'All' },
      );
    await load(WARM_UP_S, held);
    const [oursBefore, yesBefore] = [await histogram(OURS), await histogram(YES)];
    const times = await load(SECONDS, held);
    const [oursAfter, yesAfter] = [await histogram(OURS), await histogram(YES)];
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
      addedP50Ms: quantileMs(0.5, oursBefore, oursAfter),
      addedP99Ms: quantileMs(0.99, oursBefore, oursAfter),
      yesP50Ms: quantileMs(0.5, yesBefore, yesAfter),
      yesP99Ms: quantileMs(0.99, yesBefore, yesAfter),
      calls: calls(oursAfter) - calls(oursBefore),
      callsNotOptedIn: notOptedIn,
      callsNothingChanged: nothing,
      clientP50Ms: Math.round(times[Math.floor(times.length / 2)]! * 10) / 10,
    };
  } finally {
    await must('kubectl', ['delete', 'mutatingwebhookconfiguration', 'aa-bench-yes', '--ignore-not-found']);
    await must('kubectl', ['delete', 'namespace', NAMESPACE, '--wait=false']);
  }
}

async function callsDuring(body: () => Promise<unknown>): Promise<number> {
  const before = calls(await histogram(OURS));
  await body();
  return calls(await histogram(OURS)) - before;
}
