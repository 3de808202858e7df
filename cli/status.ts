import { WATCHED_LABEL } from '../canary/annotations.ts';
import { runOf } from '../canary/run.ts';
import { statusOf } from '../canary/status.ts';
import type { KubeClient } from '../kube/client.ts';
import { DEPLOYMENTS } from '../kube/resources.ts';
import type { Deployment } from '../kube/types.ts';
import { look } from './verdict.ts';

/** @param name one Deployment; without, all that are opted in. @param namespace without, all of them */
export async function statusLines(client: KubeClient, namespace?: string, name?: string): Promise<string[]> {
  const found =
    name === undefined
      ? (
          await client.list<Deployment>(
            DEPLOYMENTS,
            { namespace },
            { query: { labelSelector: `${WATCHED_LABEL}=true` } },
          )
        ).items
      : [await client.get<Deployment>(DEPLOYMENTS, { namespace, name })];
  if (found.length === 0) return ['no Deployment is opted in here'];
  const rows = found.map((deployment) => rowOf(deployment, namespace === undefined));
  return table([[...(namespace === undefined ? ['NAMESPACE'] : []), 'NAME', 'STATE', 'WEIGHT', 'DETAIL'], ...rows]);
}

function rowOf(deployment: Deployment, withNamespace: boolean): string[] {
  const { namespace = '', name } = deployment.metadata;
  const run = runOf(deployment);
  const status = statusOf(deployment);
  const weight = run && status?.run === run.id ? status.weight : 0;
  const { line } = look(undefined, deployment);
  return [
    ...(withNamespace ? [namespace] : []),
    name,
    run?.phase ?? 'stable',
    `${weight}%`,
    run ? line : last(deployment),
  ];
}

/** What became of the last run, while none is on. */
function last(deployment: Deployment): string {
  const status = statusOf(deployment);
  return status ? `last run ${status.run}: ${status.phase}, ${status.message}` : '';
}

/** Columns as wide as their widest cell, two spaces between them. */
export function table(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}
