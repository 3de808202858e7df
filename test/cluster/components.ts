import { apiServer } from './apiserver.ts';
import { containerd } from './containerd.ts';
import { controllerManager, scheduler } from './controllers.ts';
import type { Daemon } from './daemon.ts';
import { etcd } from './etcd.ts';
import { kubelet } from './kubelet.ts';
import { kubeProxy } from './kubeproxy.ts';
import type { Paths } from './paths.ts';

/** What was started: the control plane alone, or everything. */
export type Kind = 'control-plane' | 'full';

const CONTROL_PLANE = [etcd, apiServer, controllerManager];
const NODE = [scheduler, containerd, kubelet, kubeProxy];

/** The daemons of a kind in the order of their start. */
export function daemons(paths: Paths, kind: Kind): Daemon[] {
  return [...CONTROL_PLANE, ...(kind === 'full' ? NODE : [])].map((make) => make(paths));
}
