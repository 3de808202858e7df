import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../../kube/types.ts';
import { must, type Result, run } from '../../e2e/support/cluster.ts';

export const CHART = join(import.meta.dirname, '../../../charts/sidestep');

export type Values = Record<string, unknown>;

export interface Manifest extends KubeObject {
  kind: string;
  [field: string]: unknown;
}

/** `--set-json` for each value: types are kept. */
const flags = (values: Values): string[] =>
  Object.entries(values).flatMap(([path, value]) => ['--set-json', `${path}=${JSON.stringify(value)}`]);

export const RELEASE = 'sidestep';

const template = (namespace: string, values: Values): string[] => [
  'template',
  RELEASE,
  CHART,
  '--namespace',
  namespace,
  ...flags(values),
];

/** What the chart makes of these values, without a cluster. */
export async function render(values: Values = {}, namespace = 'sidestep-system'): Promise<Manifest[]> {
  const { stdout } = await must('helm', template(namespace, values));
  return parseAllDocuments(stdout).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const manifest = document.toJS() as Manifest | null;
    return manifest ? [manifest] : [];
  });
}

/** What Helm says when it refuses these values. */
export async function refusal(values: Values): Promise<string> {
  const { code, stderr } = await run('helm', template('sidestep-system', values));
  return code === 0 ? '' : stderr;
}

/** One of its kind, by its name or as the only one. */
export function find<T extends Manifest = Manifest>(manifests: readonly Manifest[], kind: string, name?: string): T {
  const found = manifests.filter((m) => m.kind === kind && (name === undefined || m.metadata.name === name));
  if (found.length !== 1) throw new Error(`${found.length} manifests of ${kind} ${name ?? ''}`);
  return found[0] as T;
}

/** Installs or upgrades the release; its pods are not waited for, since a control plane alone has no node. */
export const install = (namespace: string, values: Values = {}): Promise<Result> =>
  must('helm', [
    'upgrade',
    '--install',
    RELEASE,
    CHART,
    '--namespace',
    namespace,
    '--create-namespace',
    ...flags(values),
  ]);

export const rollback = (namespace: string, revision: number): Promise<Result> =>
  must('helm', ['rollback', RELEASE, String(revision), '--namespace', namespace]);

/** Without the hook: its Job needs a node, and a control plane alone has none. */
export const uninstall = (namespace: string): Promise<Result> =>
  must('helm', ['uninstall', RELEASE, '--namespace', namespace, '--ignore-not-found', '--no-hooks']);

interface Webhook extends Manifest {
  spec: { template: { spec: { containers: { args: string[]; env: EnvVar[] }[] } } };
}

interface EnvVar {
  name: string;
  value?: string;
  valueFrom?: { fieldRef: { fieldPath: string } };
}

const containerOf = (manifests: readonly Manifest[]) =>
  find<Webhook>(manifests, 'Deployment', `${RELEASE}-webhook`).spec.template.spec.containers[0]!;

/** What the webhook's container runs Node with; the last argument is the bundle's path in the image. */
export const webhookArguments = (manifests: readonly Manifest[]): string[] => containerOf(manifests).args;

/** The webhook's environment as the kubelet would make it, given the pod's fields. */
export function environment(manifests: readonly Manifest[], fields: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    containerOf(manifests).env.map(({ name, value, valueFrom }) => [
      name,
      valueFrom ? fields[valueFrom.fieldRef.fieldPath]! : (value ?? ''),
    ]),
  );
}
