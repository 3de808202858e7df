// Runs in the pod of Prometheus: Debian's build has no discovery of pods, only of files. Writes the file every second.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';

/** Milliseconds between two looks at the pods. */
const INTERVAL = 1000;

const OUTPUT = '/targets/pods.json';

/** Port of Envoy's own metrics in every sidecar. */
const METRICS_PORT = 15090;

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The fields of a pod that are read here. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly {
      readonly kind: string;
      readonly name: string;
      readonly controller?: boolean;
    }[];
  };
  readonly spec: { readonly containers: readonly Named[]; readonly initContainers?: readonly Named[] };
  readonly status: { readonly podIP?: string };
}

interface Named {
  readonly name: string;
}

export interface Target {
  readonly targets: readonly string[];
  readonly labels: { readonly namespace: string; readonly pod: string; readonly workload: string };
}

/** Istio's name for what a pod belongs to: its controller; for a ReplicaSet its Deployment, whose name is followed by the template's hash. */
export function workload(pod: Pod): string {
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller);
  const hash = pod.metadata.labels?.['pod-template-hash'];
  if (!owner) return pod.metadata.name;
  return owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(`-${hash}`)
    ? owner.name.slice(0, -hash.length - 1)
    : owner.name;
}

/** Scrape targets of all pods with a sidecar and an address, in the order of their names, so that equal sets give equal files. */
export function podTargets(pods: readonly Pod[]): Target[] {
  const inMesh = (pod: Pod) =>
    [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some((c) => c.name === 'istio-proxy');
  const key = (target: Target) => `${target.labels.namespace}/${target.labels.pod}`;
  return pods
    .filter((pod) => pod.status.podIP && inMesh(pod))
    .map(({ metadata, spec, status }) => ({
      targets: [`${status.podIP}:${METRICS_PORT}`],
      labels: { namespace: metadata.namespace, pod: metadata.name, workload: workload({ metadata, spec, status }) },
    }))
    .sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function runningPods(): Promise<Pod[]> {
  return new Promise((resolve, reject) => {
    const options = {
      host: process.env['KUBERNETES_SERVICE_HOST'],
      port: process.env['KUBERNETES_SERVICE_PORT'],
      path: '/api/v1/pods?resourceVersion=0&fieldSelector=status.phase%3DRunning',
      ca: readFileSync(`${ACCOUNT}/ca.crt`),
      headers: { authorization: `Bearer ${readFileSync(`${ACCOUNT}/token`, 'utf8')}` },
      timeout: INTERVAL,
    };
    const request = get(options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve((JSON.parse(body) as { items: Pod[] }).items);
        else reject(new Error(`API server answers ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error('API server does not answer')));
    request.on('error', reject);
  });
}

/** Writes the file anew if it changed: Prometheus sees the renaming at once. */
async function refresh(previous: string): Promise<string> {
  const text = JSON.stringify(podTargets(await runningPods()));
  if (text === previous) return text;
  writeFileSync(`${OUTPUT}.tmp`, text);
  renameSync(`${OUTPUT}.tmp`, OUTPUT);
  return text;
}

async function main(): Promise<never> {
  process.on('SIGTERM', () => process.exit());
  let text = '';
  for (;;) {
    text = await refresh(text).catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      return text;
    });
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}

if (import.meta.main) await main();
