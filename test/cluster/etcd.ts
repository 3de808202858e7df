import { join } from 'node:path';
import { binary } from './build.ts';
import type { Daemon } from './daemon.ts';
import { isHealthy } from './health.ts';
import { ETCD_CLIENT_PORT, ETCD_PEER_PORT } from './network.ts';
import type { Paths } from './paths.ts';

export const ETCD_URL = `http://127.0.0.1:${ETCD_CLIENT_PORT}`;

export function etcd(paths: Paths): Daemon {
  const peer = `http://127.0.0.1:${ETCD_PEER_PORT}`;
  return {
    name: 'etcd',
    command: binary('etcd'),
    args: [
      `--name=${paths.label}`,
      `--data-dir=${join(paths.state, 'etcd')}`,
      // Nothing here has to outlive a power cut; a disk flush per write would slow down everything.
      '--unsafe-no-fsync',
      `--listen-client-urls=${ETCD_URL}`,
      `--advertise-client-urls=${ETCD_URL}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${paths.label}=${peer}`,
      '--log-level=warn',
    ],
    healthy: () => isHealthy(`${ETCD_URL}/health`),
  };
}
