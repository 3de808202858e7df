import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { binary } from './build.ts';
import { podsGroup } from './cgroup.ts';
import type { Daemon } from './daemon.ts';
import { isHealthy, readApi } from './health.ts';
import { DNS_ADDRESS, KUBELET_HEALTH_PORT, NODE_ADDRESS, NODE_NAME } from './network.ts';
import type { Paths } from './paths.ts';
import { clientKubeconfig, pkiFile } from './pki.ts';

const folder = (paths: Paths) => join(paths.state, 'kubelet');

function config(paths: Paths): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${paths.containerdSocket}`,
    clusterDNS: [DNS_ADDRESS],
    clusterDomain: 'cluster.local',
    // Names of other networks do not resolve: there is no way out.
    resolvConf: join(folder(paths), 'resolv.conf'),
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pkiFile(paths, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pkiFile(paths, 'kubelet.crt'),
    tlsPrivateKeyFile: pkiFile(paths, 'kubelet.key'),
    // No systemd here; version 1 of the control groups still is what many build machines have.
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    cgroupRoot: podsGroup(paths),
    failSwapOn: false,
    // Its measuring of file systems fails in nested environments.
    localStorageCapacityIsolation: false,
    podLogsDir: join(folder(paths), 'logs'),
    // Images come from nowhere else: they must never be removed, however full the disk is.
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
    },
    // The node's share of the pod range has 253 addresses.
    maxPods: 250,
  };
}

export function prepareKubelet(paths: Paths): void {
  mkdirSync(folder(paths), { recursive: true });
  writeFileSync(join(folder(paths), 'resolv.conf'), `nameserver ${NODE_ADDRESS}\n`);
  writeFileSync(join(folder(paths), 'config.yaml'), stringify(config(paths)));
}

export function kubelet(paths: Paths): Daemon {
  return {
    name: 'kubelet',
    command: binary('kubelet'),
    args: [
      `--config=${join(folder(paths), 'config.yaml')}`,
      `--kubeconfig=${clientKubeconfig(paths, 'kubelet')}`,
      `--root-dir=${join(folder(paths), 'root')}`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NODE_ADDRESS}`,
    ],
    healthy: async () =>
      (await isHealthy(`http://127.0.0.1:${KUBELET_HEALTH_PORT}/healthz`)) && (await isNodeReady(paths)),
  };
}

interface NodeStatus {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function isNodeReady(paths: Paths): Promise<boolean> {
  const body = await readApi(paths, `/api/v1/nodes/${NODE_NAME}`);
  if (!body) return false;
  const node = JSON.parse(body) as NodeStatus;
  return (
    node.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false
  );
}
