import { Command } from 'commander';
import { buildBinaries } from './build.ts';
import { enterGroup } from './cgroup.ts';
import { daemons, type Kind } from './components.ts';
import { importImages } from './containerd.ts';
import { startAndWait, stopDaemon } from './daemon.ts';
import { insideCommand, insideEnvironment } from './environment.ts';
import { forward, parseForward } from './forward.ts';
import { LAYOUT, projectImages } from './images.ts';
import { inspect } from './instance.ts';
import { enter } from './netns.ts';
import { installTools } from './packages.ts';
import { externalKubeconfig, paths as instancePaths } from './paths.ts';
import { note, step } from './progress.ts';
import { runInteractive } from './run.ts';
import { start, startInside } from './start.ts';
import { printStatus } from './status.ts';
import { stop } from './stop.ts';

const paths = instancePaths();
const external = externalKubeconfig();

/** @throws Error unless the instance is up, and of the given kind where one is needed */
function requireUp(kind?: Kind): Kind {
  const state = inspect(paths);
  if (state.state !== 'up') {
    throw new Error(`${paths.label} is not up (${state.state}); start it with: npm run cluster -- up`);
  }
  if (kind && state.kind !== kind) throw new Error(`${paths.label} runs a control plane only`);
  return state.kind;
}

/** Says that a cluster of the user's is in use; then there is nothing to start or stop. */
function usesExternal(): boolean {
  if (external) note(`using the cluster of ${external} (SIDESTEP_KUBECONFIG)`);
  return external !== undefined;
}

async function up(kind: Kind): Promise<void> {
  if (usesExternal()) return;
  await step(`${paths.label} is up`, () => start(paths, kind));
}

async function down(): Promise<void> {
  if (usesExternal()) return;
  await step(`${paths.label} is down`, () => stop(paths));
}

async function images(): Promise<void> {
  if (usesExternal()) return;
  requireUp('full');
  await step('images', async () => {
    const { images, failures } = await projectImages();
    const imported = await importImages(paths, LAYOUT(), images);
    note(imported.length > 0 ? `imported ${imported.map((image) => image.name).join(', ')}` : 'nothing changed');
    for (const failure of failures) throw failure;
  });
}

/** Runs a command of the user's with the cluster's network, kubeconfig and tools. */
async function exec(command: readonly string[]): Promise<void> {
  if (!external) requireUp();
  const [program = '', ...args] = external ? command : insideCommand(paths, command);
  process.exitCode = await runInteractive(program, args, { env: insideEnvironment(paths) });
}

async function restart(name: string): Promise<void> {
  const state = inspect(paths);
  if (state.state === 'absent' || state.state === 'starting') requireUp();
  enterGroup(paths);
  const [program = '', ...args] = enter(paths, [process.execPath, import.meta.filename, 'restart-inside', name]);
  process.exitCode = await runInteractive(program, args);
}

async function restartInside(name: string): Promise<void> {
  const known = daemons(paths, 'full');
  const daemon = known.find((candidate) => candidate.name === name);
  if (!daemon)
    throw new Error(`no component ${name}; there are ${known.map((candidate) => candidate.name).join(', ')}`);
  await step(`restart ${name}`, async () => {
    await stopDaemon(paths, name);
    await startAndWait(paths, daemon);
  });
}

async function build(): Promise<void> {
  await installTools('full');
  await buildBinaries('full');
}

const program = new Command('npm run cluster --')
  .description(
    'A real Kubernetes cluster with Istio and Prometheus on this machine alone, in a network namespace of its own.\n\n' +
      'SIDESTEP_CLUSTER     name of the instance (default: sidestep); several can run side by side\n' +
      'SIDESTEP_KUBECONFIG  use this cluster instead of an embedded one\n' +
      'KUBEBUILDER_ASSETS   folder with etcd, kube-apiserver and kubectl to use instead of building them',
  )
  .enablePositionalOptions();
program
  .command('up')
  .description('start everything: Kubernetes with one node, CoreDNS, Istio, Prometheus')
  .action(() => up('full'));
program
  .command('control-plane')
  .description('start etcd, API server and controller manager only')
  .action(() => up('control-plane'));
program
  .command('status')
  .description('say what runs; the exit code is 0 if the instance is up')
  .action(() => printStatus(paths));
program.command('down').description('remove the instance and everything of it, also after a crash').action(down);
program
  .command('shell')
  .description('a shell inside the cluster network with KUBECONFIG, kubectl and helm')
  .action(() => exec(['bash']));
program
  .command('exec')
  .description('run a command inside the cluster network; its exit code is returned')
  .argument('<command...>')
  .passThroughOptions()
  .action(exec);
program
  .command('forward')
  .description('reach Services of the cluster on ports of this machine, until interrupted')
  .argument('<LOCALPORT=HOST:PORT...>', 'such as 9090=prometheus.istio-system:9090')
  .action(async (targets: string[]) => {
    if (usesExternal()) throw new Error('on a cluster of your own use: kubectl port-forward');
    requireUp('full');
    const forwards = targets.map(parseForward);
    for (const { localPort, host, port } of forwards) note(`http://127.0.0.1:${localPort} is ${host}:${port}`);
    await forward(paths, forwards);
  });
program.command('build').description('build all binaries into the cache').action(build);
program
  .command('images')
  .description('build the images of Sidestep and the test fixtures and import them')
  .action(images);
program.command('restart').description('end one component and start it again').argument('<component>').action(restart);
program
  .command('start-inside', { hidden: true })
  .argument('<kind>')
  .action((kind: Kind) => startInside(paths, kind));
program.command('restart-inside', { hidden: true }).argument('<component>').action(restartInside);

try {
  await program.parseAsync();
} catch (error) {
  note(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
