import { randomBytes } from 'node:crypto';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { type ClusterAccess, createKubeClient, type KubeClient } from '../../../kube/client.ts';
import { KubeError } from '../../../kube/errors.ts';
import { PODS, type Resource } from '../../../kube/resources.ts';
import type { KubeObject, Pod } from '../../../kube/types.ts';

export const NAMESPACES: Resource = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces' };

/** The cluster that KUBECONFIG names; as another user where one is given. */
export function connect(user?: string): KubeClient {
  const config = new KubeConfig();
  config.loadFromDefault();
  const access = config as ClusterAccess;
  if (user === undefined) return createKubeClient(access);
  return createKubeClient({
    getCurrentCluster: () => access.getCurrentCluster(),
    applyToHTTPSOptions: async (options: RequestOptions) => {
      await access.applyToHTTPSOptions(options);
      options.headers = { ...options.headers, 'impersonate-user': user } as Record<string, string>;
    },
  });
}

export async function createNamespace(
  client: KubeClient,
  prefix: string,
  labels: Record<string, string> = {},
): Promise<string> {
  const name = `${prefix}-${randomBytes(3).toString('hex')}`;
  await client.create(NAMESPACES, {}, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  return name;
}

export const deleteNamespace = (client: KubeClient, name: string): Promise<void> => client.delete(NAMESPACES, { name });

/** Why the API server refused; empty if it did not. */
export async function refusalOf(request: Promise<unknown>): Promise<string> {
  try {
    await request;
    return '';
  } catch (e) {
    if (e instanceof KubeError && e.status !== 0) return e.message;
    throw e;
  }
}

export const DRY_RUN = { query: { dryRun: 'All' } } as const;

const READY = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };

/** Says of each pod that it runs and is ready, as a kubelet would: a control plane alone has none. */
export async function markReady(client: KubeClient, namespace: string, labelSelector = ''): Promise<void> {
  const { items } = await client.list<Pod>(PODS, { namespace }, { query: { labelSelector } });
  for (const { metadata, status } of items)
    if (status?.phase !== 'Running') {
      const target = { namespace, name: metadata.name, subresource: 'status' as const };
      await client.patch(PODS, target, 'merge', { status: { phase: 'Running', conditions: [READY] } });
    }
}

/** A Deployment whose pods nobody will ever start. */
export const deployment = (namespace: string, name: string, annotations?: Record<string, string>) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name,
    namespace,
    labels: { app: name },
    ...(annotations ? { annotations } : {}),
  } as KubeObject['metadata'],
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name, version: 'v1' }, annotations: { one: '1', two: '2' } },
      spec: {
        containers: [
          {
            name: 'main',
            image: 'localhost/none:1',
            env: [
              { name: 'A', value: '1' },
              { name: 'B', value: '2' },
            ],
            resources: { requests: { cpu: '10m', memory: '32Mi' } },
          },
        ],
      },
    },
  } as Record<string, unknown>,
});
