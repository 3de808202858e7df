import { writeFileSync } from 'node:fs';
import { apply, renderAddons, waitAddons } from './addons.ts';
import { apiServer, prepareApiServer } from './apiserver.ts';
import { buildBinaries } from './build.ts';
import { enterGroup } from './cgroup.ts';
import type { Kind } from './components.ts';
import { containerd, importImages, prepareContainerd } from './containerd.ts';
import { controllerManager, scheduler } from './controllers.ts';
import { startAndWait, startDaemon, waitHealthy } from './daemon.ts';
import { resolverFile } from './environment.ts';
import { etcd } from './etcd.ts';
import { clusterImages, LAYOUT, projectImages } from './images.ts';
import { inspect, writeInstance } from './instance.ts';
import { kubelet, prepareKubelet } from './kubelet.ts';
import { kubeProxy } from './kubeproxy.ts';
import { createNetns, enter } from './netns.ts';
import { DNS_ADDRESS } from './network.ts';
import { installTools } from './packages.ts';
import type { Paths } from './paths.ts';
import { createPki } from './pki.ts';
import { note, step } from './progress.ts';
import { runInteractive } from './run.ts';
import { stop } from './stop.ts';

/**
 * Makes the instance run, whatever state it was left in.
 *
 * @throws Error if another process is starting it, or a part does not become healthy
 */
export async function start(paths: Paths, kind: Kind): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error('the embedded cluster needs root: it makes namespaces and control groups');
  await installTools(kind);
  await buildBinaries(kind);
  const before = inspect(paths);
  if (before.state === 'up' && (before.kind === kind || before.kind === 'full')) {
    note(`${paths.label} is up already`);
    return;
  }
  if (before.state === 'starting') throw new Error(`${paths.label} is being started by process ${before.owner.pid}`);
  if (before.state === 'up') note(`${paths.label} runs a control plane only: replacing it`);
  if (before.state === 'broken') note(`${paths.label} was left half-dead (${before.reason}): cleaning up first`);
  if (before.state !== 'absent') await stop(paths);
  writeInstance(paths, kind, false);
  enterGroup(paths);
  await createNetns(paths);
  const [program = '', ...args] = enter(paths, [
    process.execPath,
    `${import.meta.dirname}/main.ts`,
    'start-inside',
    kind,
  ]);
  const code = await runInteractive(program, args);
  if (code !== 0) throw new Error(`${paths.label} did not start; its logs are in ${paths.logs}`);
  writeInstance(paths, kind, true);
}

/** The part of the start that needs the instance's network: runs in a process inside its namespace. */
export async function startInside(paths: Paths, kind: Kind): Promise<void> {
  await createPki(paths);
  if (kind === 'control-plane') await startControlPlane(paths);
  else await startAll(paths);
}

async function startControlPlane(paths: Paths): Promise<void> {
  prepareApiServer(paths);
  // The API server waits for etcd by itself; the controller manager would give up.
  startDaemon(paths, etcd(paths));
  startDaemon(paths, apiServer(paths));
  await step('etcd', () => waitHealthy(paths, etcd(paths)));
  await step('kube-apiserver', () => waitHealthy(paths, apiServer(paths)));
  await step('kube-controller-manager', () => startAndWait(paths, controllerManager(paths)));
}

/** Two chains at once, control plane and container runtime with its images, then what needs both. */
async function startAll(paths: Paths): Promise<void> {
  const runtime = startRuntime(paths);
  const control = startControlPlane(paths).then(() => startDaemon(paths, scheduler(paths)));
  const setup = Promise.all([control, renderAddons()]).then(([, addons]) =>
    step('objects of CoreDNS, Istio, Prometheus', () => apply(paths, addons.setup)),
  );
  const node = Promise.all([runtime.healthy, control]).then(() => startNode(paths));
  await Promise.all([runtime.images, setup, node]);
  writeFileSync(
    resolverFile(paths),
    `nameserver ${DNS_ADDRESS}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n`,
  );
  const { workloads } = await renderAddons();
  await step('CoreDNS, Istio, Prometheus', async () => {
    await apply(paths, workloads);
    await waitAddons(paths);
  });
  await waitHealthy(paths, scheduler(paths));
}

/** Starts containerd; images are made while it starts and imported when it is healthy. */
function startRuntime(paths: Paths): { healthy: Promise<void>; images: Promise<void> } {
  prepareContainerd(paths);
  const healthy = step('containerd', () => startAndWait(paths, containerd(paths)));
  const images = step('images', async () => {
    const cluster = await clusterImages();
    const project = await projectImages();
    // The cluster is also there for those whose Sidestep does not build at the moment.
    for (const failure of project.failures) note(`an image was left out: ${failure.message}`);
    await healthy;
    await importImages(paths, LAYOUT(), [...cluster, ...project.images]);
  });
  images.catch(() => {}); // handled by whoever awaits it
  return { healthy, images };
}

async function startNode(paths: Paths): Promise<void> {
  prepareKubelet(paths);
  startDaemon(paths, kubelet(paths));
  startDaemon(paths, kubeProxy(paths));
  await step('kubelet', () => waitHealthy(paths, kubelet(paths)));
  await step('kube-proxy', () => waitHealthy(paths, kubeProxy(paths)));
}
