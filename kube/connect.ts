import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { type ClientHooks, type ClusterAccess, createKubeClient, type KubeClient } from './client.ts';
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
  return createKubeClient(inCluster(env) ? accountAccess(env) : await kubeconfigAccess());
}

/** What a person may say about the cluster on a command line. */
export interface ConnectOptions extends ClientHooks {
  /** A file in place of KUBECONFIG. */
  kubeconfig?: string | undefined;
  /** A context in place of the current one. */
  context?: string | undefined;
}

/**
 * As `connect`, and tells the namespace that commands without one mean.
 * @throws KubeError `NoCluster` if there is no cluster, or no such context
 */
export async function connectTo(
  { kubeconfig, context, ...hooks }: ConnectOptions,
  env: Environment = process.env,
): Promise<{ client: KubeClient; namespace: string }> {
  if (kubeconfig === undefined && context === undefined && inCluster(env)) {
    const namespace = (await readFile(`${ACCOUNT_FOLDER}/namespace`, 'utf8')).trim();
    return { client: createKubeClient(accountAccess(env), hooks), namespace };
  }
  const config = await kubeconfigAccess(kubeconfig);
  if (context !== undefined) {
    if (!config.getContextObject(context))
      throw new KubeError(0, 'NoCluster', `the kubeconfig has no context ${context}`);
    config.setCurrentContext(context);
  }
  const { namespace = 'default' } = config.getContextObject(config.getCurrentContext()) ?? {};
  return { client: createKubeClient(config, hooks), namespace };
}

const inCluster = (env: Environment): boolean =>
  env['KUBECONFIG'] === undefined && env['KUBERNETES_SERVICE_HOST'] !== undefined;

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

/** The part of client-node's `KubeConfig` that is used here. */
interface Kubeconfig extends ClusterAccess {
  getCurrentContext(): string;
  setCurrentContext(name: string): void;
  getContextObject(name: string): { namespace?: string | undefined } | null;
}

/** The kubeconfig of a person or a test, with everything that client-node knows about them: exec plugins, OIDC, proxies. */
async function kubeconfigAccess(file?: string): Promise<Kubeconfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  return config as Kubeconfig;
}
