import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { binary, istioAssets } from './build.ts';
import { readApi } from './health.ts';
import { cacheFolder, type Paths } from './paths.ts';
import { run } from './run.ts';
import { waitUntil } from './wait.ts';

// What runs in the cluster before any test: CoreDNS, Istio by its own charts, Prometheus.

const MANIFESTS = join(import.meta.dirname, 'manifests');
const ISTIOD_VALUES = join(MANIFESTS, 'istiod-values.yaml');

/** Milliseconds; imported images and two cores give about 10 s. */
const READY_TIMEOUT = 120_000;

/** The Deployments in the order in which they become ready. */
export const ADDONS = ['kube-system/coredns', 'istio-system/istiod', 'istio-system/prometheus'] as const;

/** Manifests in two parts: `setup` needs an API server only, `workloads` the images. */
export interface Addons {
  readonly setup: string;
  readonly workloads: string;
}

function sources(): string[] {
  const files = ['coredns.yaml', 'prometheus.yaml'].map((name) => join(MANIFESTS, name));
  return [...files, join(import.meta.dirname, 'pod-targets.ts')].map((file) => readFileSync(file, 'utf8'));
}

/** Parts the documents of a manifest: Deployments start pods, everything else can be there before. */
export function splitWorkloads(manifest: string): Addons {
  const objects = parseAllDocuments(manifest).map((document) => document.toJS() as { kind?: string } | null);
  const join = (part: typeof objects) => part.map((object) => stringify(object)).join('---\n');
  return {
    setup: join(objects.filter((object) => object && object.kind !== 'Deployment')),
    workloads: join(objects.filter((object) => object?.kind === 'Deployment')),
  };
}

async function render(): Promise<Addons> {
  const chart = (release: string, path: string, ...flags: string[]) =>
    run(binary('helm'), [
      'template',
      release,
      join(istioAssets(), 'charts', path),
      '--namespace',
      'istio-system',
      ...flags,
    ]);
  const istio = await Promise.all([
    chart('istio-base', 'base', '--include-crds'),
    chart('istiod', 'istio-control/istio-discovery', '--values', ISTIOD_VALUES),
  ]);
  const [coredns = '', prometheus = '', program = ''] = sources();
  const namespace = stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
  const targets = stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'prometheus-pod-targets', namespace: 'istio-system' },
    data: { 'pod-targets.ts': program },
  });
  return splitWorkloads([namespace, ...istio, coredns, targets, prometheus].join('\n---\n'));
}

/** The manifests, rendered once per content of charts, values and our own files: Istio's definitions are large. */
export async function renderAddons(): Promise<Addons> {
  const hash = createHash('sha256');
  for (const text of [
    istioAssets(),
    readFileSync(ISTIOD_VALUES, 'utf8'),
    readFileSync(import.meta.filename, 'utf8'),
    ...sources(),
  ]) {
    hash.update(text).update('\0');
  }
  const folder = join(cacheFolder(), 'addons');
  const file = join(folder, `${hash.digest('hex')}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Addons;
  const addons = await render();
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(addons));
  renameSync(`${file}.${process.pid}`, file);
  return addons;
}

/** @throws CommandError with what the API server objects to */
export async function apply(paths: Paths, manifest: string): Promise<void> {
  const flags = ['apply', '--kubeconfig', paths.kubeconfig, '--server-side', '--validate=false', '--filename', '-'];
  await run(binary('kubectl'), flags, { input: manifest });
}

interface Deployment {
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly availableReplicas?: number };
}

/** Whether all replicas of a Deployment, given as namespace/name, are available. */
export async function isAvailable(paths: Paths, addon: string): Promise<boolean> {
  const [namespace, name] = addon.split('/');
  const body = await readApi(paths, `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
  if (!body) return false;
  const { spec, status } = JSON.parse(body) as Deployment;
  return (status?.availableReplicas ?? 0) >= (spec.replicas ?? 1);
}

interface WebhookConfiguration {
  readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
}

/** Whether istiod has put its certificate authority into the injection webhook; before, no pod can be created in a labelled namespace. */
async function isInjecting(paths: Paths): Promise<boolean> {
  const resource = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-sidecar-injector';
  const body = await readApi(paths, resource);
  if (!body) return false;
  return (JSON.parse(body) as WebhookConfiguration).webhooks.every((webhook) => webhook.clientConfig.caBundle);
}

/** Waits until DNS answers, Istio injects and Prometheus scrapes. */
export async function waitAddons(paths: Paths): Promise<void> {
  for (const addon of ADDONS) {
    await waitUntil(() => isAvailable(paths, addon), { what: addon, timeout: READY_TIMEOUT });
  }
  await waitUntil(() => isInjecting(paths), { what: 'sidecar injection', timeout: READY_TIMEOUT });
}
