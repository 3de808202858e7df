import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { must } from './cluster.ts';

export const NAMESPACE = 'sidestep-system';
export const RELEASE = 'sidestep';
/** Service name and namespace, as pods reach it. */
export const PROMETHEUS_URL = process.env['SIDESTEP_PROMETHEUS_URL'] ?? 'http://prometheus.istio-system:9090';

/** Values that make runs quick enough to test: everything else is the chart's default. */
export interface InstallValues {
  image?: string;
  prometheusUrl?: string;
  extra?: string[];
  /** Another than this checkout's. */
  chart?: string;
}

/** The chart as it was before the pre-delete hook, with rights that were not used (commit ab3b0ff); made by `helm package`. */
export const PREVIOUS_CHART = 'test/e2e/support/sidestep-previous.tgz';

/** Every pod of Sidestep is held to the strictest Pod Security Standard. */
const namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
};

/** Installs Sidestep by its chart, or upgrades it to this checkout's. */
export async function install({
  image = process.env['SIDESTEP_IMAGE'] ?? 'localhost/sidestep:dev',
  prometheusUrl,
  extra = [],
  chart,
}: InstallValues = {}): Promise<void> {
  await must('kubectl', ['apply', '--server-side', '-f', '-'], JSON.stringify(namespace));
  const [, repository, tag] = /^(.*):([^:/]+)$/.exec(image) ?? [undefined, image, 'latest'];
  const sets = [
    `image.repository=${repository}`,
    `image.tag=${tag}`,
    `prometheus.url=${prometheusUrl ?? PROMETHEUS_URL}`,
    // A tag that stays while its image changes: without this, an upgrade would leave the old pods.
    ...(chart ? [] : await buildOf()),
    ...extra,
  ];
  await must('helm', [
    'upgrade',
    '--install',
    RELEASE,
    chart ?? 'charts/sidestep',
    '--namespace',
    NAMESPACE,
    '--wait',
    '--timeout',
    '3m',
    ...sets.flatMap((set) => ['--set-string', set]),
  ]);
}

/** What tells this checkout's bundles apart, for the pods that are there for longer; nothing where there are none. */
async function buildOf(): Promise<string[]> {
  try {
    return await Promise.all(
      Object.entries({ webhook: 'dist/webhook.mjs', watchman: 'dist/analyzer.mjs' }).map(async ([part, file]) => {
        const digest = createHash('sha256')
          .update(await readFile(file))
          .digest('hex');
        return `${part}.podAnnotations.build=${digest.slice(0, 12)}`;
      }),
    );
  } catch {
    return [];
  }
}

export const uninstall = (): Promise<unknown> =>
  must('helm', ['uninstall', RELEASE, '--namespace', NAMESPACE, '--ignore-not-found', '--wait']);
