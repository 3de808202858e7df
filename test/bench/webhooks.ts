import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from '../../kube/client.ts';
import { eventually, must } from '../e2e/support/cluster.ts';
import { FIXTURES_IMAGE } from '../fixtures/manifests.ts';
import { markReady } from '../integration/chart/api.ts';
import { environment, install, render, uninstall, webhookArguments } from '../integration/chart/helm.ts';

// The two webhooks that are compared: Sidestep's, and one that only says yes. As pods of a whole cluster, or as processes beside a
// control plane, where nothing else takes the processors while they are measured.

export const OURS = 'canary.sidestep.dev';
export const YES = 'yes.bench.sidestep.dev';
const OWN_NAMESPACE = 'bench-sidestep';
const CONFIGURATION = `zz-sidestep.${OWN_NAMESPACE}`;
const YES_CONFIGURATION = 'aa-bench-yes';

/** A webhook that reads its review and says yes: what any webhook costs. */
const YES_SERVER = `
const https = require('https'), fs = require('fs'), [folder, port] = process.argv.slice(1);
https.createServer({ key: fs.readFileSync(folder + '/tls.key'), cert: fs.readFileSync(folder + '/tls.crt'), keepAliveTimeout: 120000 }, (q, s) => {
  let b = ''; q.on('data', (c) => (b += c)); q.on('end', () => {
    const uid = b ? JSON.parse(b).request.uid : '';
    const out = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } });
    s.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(out) }).end(out);
  });
}).listen(Number(port));`;

/** Takes away what was put up. */
export type TakeDown = () => Promise<void>;

/** Where the two webhooks run. */
export interface Place {
  name: string;
  /** @param namespace of the Deployments that are updated */
  putUp: (namespace: string) => Promise<TakeDown>;
  /** Where no kubelet does it. */
  startPods?: (client: KubeClient, namespace: string) => Promise<void>;
}

export const WHOLE_CLUSTER: Place = { name: 'two pods each on the whole cluster', putUp: asPods };
export const CONTROL_PLANE: Place = {
  name: 'one process each beside a control plane alone',
  putUp: asProcesses,
  startPods: markReady,
};

/** A folder with `tls.key` and a self-signed `tls.crt` for the host, and the certificate as a `caBundle`. */
async function servingPair(folder: string, host: string): Promise<string> {
  const [key, crt] = [join(folder, 'tls.key'), join(folder, 'tls.crt')];
  await must('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`, '-keyout', key, '-out', crt],
  ]);
  return readFileSync(crt).toString('base64');
}

const apply = (...objects: object[]) =>
  must('kubectl', ['apply', '-f', '-'], objects.map((o) => JSON.stringify(o)).join('\n---\n'));

const yesConfiguration = (namespace: string, clientConfig: object) => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
  metadata: { name: YES_CONFIGURATION },
  webhooks: [
    {
      name: YES,
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      timeoutSeconds: 3,
      clientConfig,
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      objectSelector: { matchLabels: { bench: 'target' } },
      rules: [{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'], operations: ['UPDATE'] }],
    },
  ],
});

const removeYes = () =>
  must('kubectl', ['delete', 'mutatingwebhookconfiguration', YES_CONFIGURATION, '--ignore-not-found']);

/** The webhook that says yes, in two pods of this namespace as ours has; Sidestep itself is installed. */
async function asPods(namespace: string): Promise<TakeDown> {
  const folder = mkdtempSync(join(tmpdir(), 'sidestep-bench-'));
  try {
    const caBundle = await servingPair(folder, `yes.${namespace}.svc`);
    const encoded = (file: string) => readFileSync(join(folder, file)).toString('base64');
    const meta = { name: 'yes', namespace };
    const labels = { app: 'yes' };
    await apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: meta,
        data: { 'tls.key': encoded('tls.key'), 'tls.crt': caBundle },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: meta,
        spec: { selector: labels, ports: [{ port: 443, targetPort: 8443 }] },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: meta,
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
                  command: ['node', '-e', YES_SERVER, '/tls', '8443'],
                  readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
                  volumeMounts: [{ name: 'tls', mountPath: '/tls' }],
                },
              ],
              volumes: [{ name: 'tls', secret: { secretName: 'yes' } }],
            },
          },
        },
      },
    );
    await must('kubectl', ['-n', namespace, 'rollout', 'status', 'deployment/yes', '--timeout=60s']);
    await apply(yesConfiguration(namespace, { service: { name: 'yes', namespace }, caBundle }));
    return async () => void (await removeYes());
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const WEBHOOK = join(import.meta.dirname, '../../dist/webhook.mjs');
const PORTS = { ours: 18443, oursMetrics: 18080, yes: 18444 };

/** Both webhooks as processes; Sidestep's chart is installed without its pods, for its account, policies and match conditions. */
async function asProcesses(namespace: string): Promise<TakeDown> {
  const folder = mkdtempSync(join(tmpdir(), 'sidestep-bench-'));
  const processes: ChildProcess[] = [];
  const takeDown = async () => {
    await removeYes();
    await uninstall(OWN_NAMESPACE);
    for (const child of processes) child.kill();
    rmSync(folder, { recursive: true });
  };
  try {
    const caBundle = await servingPair(folder, 'localhost');
    await install(OWN_NAMESPACE);
    const rendered = await render({}, OWN_NAMESPACE);
    const env = {
      ...environment(rendered, { 'metadata.namespace': OWN_NAMESPACE }),
      CERT_MODE: 'cert-manager',
      CERT_DIR: folder,
      PORT: String(PORTS.ours),
      METRICS_PORT: String(PORTS.oursMetrics),
      KUBECONFIG: await accountKubeconfig(folder),
    };
    const child = (args: string[], more: Record<string, string> = {}) =>
      processes.push(
        spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...more } }),
      );
    child([...webhookArguments(rendered).slice(0, -1), WEBHOOK], env);
    child(['-e', YES_SERVER, folder, String(PORTS.yes)]);
    await eventually('Sidestep’s webhook', 20_000, () => answers(`https://localhost:${PORTS.ours}/readyz`, caBundle));
    await eventually('the webhook that says yes', 20_000, () => answers(`https://localhost:${PORTS.yes}/`, caBundle));
    await must('kubectl', [
      'patch',
      'mutatingwebhookconfiguration',
      CONFIGURATION,
      '--type=json',
      '-p',
      JSON.stringify([
        {
          op: 'replace',
          path: '/webhooks/0/clientConfig',
          value: { url: `https://localhost:${PORTS.ours}/mutate`, caBundle },
        },
      ]),
    ]);
    await apply(yesConfiguration(namespace, { url: `https://localhost:${PORTS.yes}/`, caBundle }));
    return takeDown;
  } catch (e) {
    await takeDown();
    throw e;
  }
}

const answers = (url: string, caBundle: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    request(url, { ca: Buffer.from(caBundle, 'base64'), agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .on('error', reject)
      .end();
  });

/** A kubeconfig with the rights of the webhook's own account. @returns its path */
async function accountKubeconfig(folder: string): Promise<string> {
  const { stdout } = await must('kubectl', ['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json']);
  const { clusters } = JSON.parse(stdout) as { clusters: object[] };
  const account = ['create', 'token', 'sidestep-webhook', '-n', OWN_NAMESPACE, '--duration=1h'];
  const { stdout: token } = await must('kubectl', account);
  const [{ name: cluster }] = clusters as [{ name: string }];
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters,
    users: [{ name: 'webhook', user: { token: token.trim() } }],
    contexts: [{ name: 'bench', context: { cluster, user: 'webhook' } }],
    'current-context': 'bench',
  };
  const path = join(folder, 'kubeconfig');
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
