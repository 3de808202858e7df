import { binary } from './build.ts';
import type { Daemon } from './daemon.ts';
import { isHealthy, readApi } from './health.ts';
import { CONTROLLER_MANAGER_PORT, POD_RANGE, SCHEDULER_PORT } from './network.ts';
import type { Paths } from './paths.ts';
import { clientKubeconfig, pkiFile } from './pki.ts';

/**
 * Written by one of the controllers: its health endpoint answers before they run, and without this account no pod can be created.
 */
const DEFAULT_ACCOUNT = '/api/v1/namespaces/default/serviceaccounts/default';

/** Flags of both: one identity for work, authentication and authorisation, and no election, since there is one of each. */
function common(kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    // The defaults (20 and 30, of which each controller's first token takes a share) delay the controllers by 5 s.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
  ];
}

export function controllerManager(paths: Paths): Daemon {
  const pki = (file: string) => pkiFile(paths, file);
  return {
    name: 'kube-controller-manager',
    command: binary('kube-controller-manager'),
    args: [
      ...common(clientKubeconfig(paths, 'controller-manager')),
      '--use-service-account-credentials',
      `--service-account-private-key-file=${pki('service-account.key')}`,
      `--root-ca-file=${pki('ca.crt')}`,
      `--cluster-signing-cert-file=${pki('ca.crt')}`,
      `--cluster-signing-key-file=${pki('ca.key')}`,
      `--cluster-cidr=${POD_RANGE}`,
      '--allocate-node-cidrs=true',
    ],
    healthy: async () =>
      (await isHealthy(`https://127.0.0.1:${CONTROLLER_MANAGER_PORT}/healthz`)) &&
      (await readApi(paths, DEFAULT_ACCOUNT)) !== undefined,
  };
}

export function scheduler(paths: Paths): Daemon {
  return {
    name: 'kube-scheduler',
    command: binary('kube-scheduler'),
    args: common(clientKubeconfig(paths, 'scheduler')),
    healthy: () => isHealthy(`https://127.0.0.1:${SCHEDULER_PORT}/healthz`),
  };
}
