import { binary } from './build.ts';
import type { Daemon } from './daemon.ts';
import { isHealthy } from './health.ts';
import { KUBE_PROXY_HEALTH_PORT, NODE_NAME, POD_RANGE } from './network.ts';
import type { Paths } from './paths.ts';
import { clientKubeconfig } from './pki.ts';

export function kubeProxy(paths: Paths): Daemon {
  return {
    name: 'kube-proxy',
    command: binary('kube-proxy'),
    args: [
      `--kubeconfig=${clientKubeconfig(paths, 'kube-proxy')}`,
      `--hostname-override=${NODE_NAME}`,
      `--cluster-cidr=${POD_RANGE}`,
      '--proxy-mode=iptables',
      // The size of the connection table belongs to the machine, not to this namespace.
      '--conntrack-max-per-core=0',
    ],
    healthy: () => isHealthy(`http://127.0.0.1:${KUBE_PROXY_HEALTH_PORT}/healthz`),
  };
}
