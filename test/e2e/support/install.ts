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
}

/** Installs Sidestep by its chart, or upgrades it to this checkout's. */
export async function install({
  image = process.env['SIDESTEP_IMAGE'] ?? 'localhost/sidestep:dev',
  prometheusUrl,
  extra = [],
}: InstallValues = {}): Promise<void> {
  const [, repository, tag] = /^(.*):([^:/]+)$/.exec(image) ?? [undefined, image, 'latest'];
  const sets = [
    `image.repository=${repository}`,
    `image.tag=${tag}`,
    `prometheus.url=${prometheusUrl ?? PROMETHEUS_URL}`,
    // A tag that stays while its image changes: without this, an upgrade would leave the old pods.
    ...(await buildOf()),
    ...extra,
  ];
  await must('helm', [
    'upgrade',
    '--install',
    RELEASE,
    'charts/sidestep',
    '--namespace',
    NAMESPACE,
    '--create-namespace',
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
  must('helm', ['uninstall', RELEASE, '--namespace', NAMESPACE, '--wait']);
