import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { type ClusterAccess, createKubeClient, type KubeClient } from './client.ts';
import { KubeError } from './errors.ts';

/** Where Kubernetes puts a pod's own credentials. */
const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews the token well before it expires; client-go reads it again as often. */
const TOKEN_AGE_MS = 60_000;

type Environment = Record<string, string | undefined>;

/**
 * A client as the environment says: KUBECONFIG if set, else the pod's own account, else the user's kubeconfig.
 * @throws KubeError `NoCluster` if there is none
 */
export async function connect(env: Environment = process.env): Promise<KubeClient> {
  const inCluster = env['KUBECONFIG'] === undefined && env['KUBERNETES_SERVICE_HOST'] !== undefined;
  return createKubeClient(inCluster ? accountAccess(env) : await kubeconfigAccess());
}

/** A pod's own account. Kept apart from client-node, whose models take 80 MB of memory to load. */
export function accountAccess(env: Environment, folder = ACCOUNT_FOLDER, now: () => number = Date.now): ClusterAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (!host) throw new KubeError(0, 'NoCluster', 'KUBERNETES_SERVICE_HOST is not set');
  let ca: string | undefined;
  let token = '';
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    getCurrentCluster: () => ({ server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}` }),
    applyToHTTPSOptions: async (options: RequestOptions) => {
      ca ??= await readFile(`${folder}/ca.crt`, 'utf8');
      if (now() - readAtMs >= TOKEN_AGE_MS) {
        token = (await readFile(`${folder}/token`, 'utf8')).trim();
        readAtMs = now();
      }
      options.ca = ca;
      options.headers = { ...options.headers, authorization: `Bearer ${token}` } as Record<string, string>;
    },
  };
}

/** The kubeconfig of a person or a test, with everything that client-node knows about them: exec plugins, OIDC, proxies. */
async function kubeconfigAccess(): Promise<ClusterAccess> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromDefault();
  return config as ClusterAccess;
}
