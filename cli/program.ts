import { Command, CommanderError } from 'commander';
import { parseDuration } from '../canary/duration.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ConnectOptions } from '../kube/connect.ts';
import { messageOf } from '../kube/errors.ts';
import { EXIT, type ExitCode, UsageError } from './errors.ts';
import { giveOrder, ORDERS, type Order } from './order.ts';
import { statusLines } from './status.ts';
import { deploymentName } from './target.ts';
import { waitForVerdict } from './wait.ts';

/** Everything that the program touches. */
export interface Surroundings {
  connect(options: ConnectOptions): Promise<{ client: KubeClient; namespace: string }>;
  out: (line: string) => void;
  err: (line: string) => void;
  signal?: AbortSignal;
}

interface Flags extends ConnectOptions {
  namespace?: string;
  allNamespaces?: true;
  timeout: string;
}

/**
 * Runs `kubectl-sidestep`.
 * @param args without program and script
 * @returns the exit code; never throws
 */
export async function runProgram(args: readonly string[], around: Surroundings): Promise<ExitCode> {
  let code: ExitCode = EXIT.good;
  const program = build(around, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (e) {
    // commander has told already what it threw.
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.good : EXIT.unknown;
    around.err(`error: ${messageOf(e)}`);
    // To a pipeline that waits, 1 is a verdict; an order that did not go through is simply an error.
    return e instanceof UsageError || args[0] === 'wait' ? EXIT.unknown : EXIT.bad;
  }
}

function build(around: Surroundings, done: (code: ExitCode) => void): Command {
  const program = new Command('kubectl-sidestep')
    .description('Follows and steers canary runs of plain Deployments')
    .configureOutput({ writeOut: (t) => around.out(t.trimEnd()), writeErr: (t) => around.err(t.trimEnd()) })
    .exitOverride();
  const withCluster = (command: Command): Command =>
    command
      .option('-n, --namespace <name>', 'namespace of the Deployment (default: the current one)')
      .option('--context <name>', 'context of the kubeconfig')
      .option('--kubeconfig <file>', 'instead of $KUBECONFIG');
  withCluster(program.command('wait'))
    .description(
      'wait for the verdict: exit 0 promoted or nothing to wait for, 1 rolled back or cancelled, 2 none in time',
    )
    .argument('<deployment...>', 'deployment/NAME')
    .option('--timeout <duration>', 'longest wait, such as 90s or 1h30m', '30m')
    .action(async (targets: string[], flags: Flags) => done(await wait(targets, flags, around)));
  withCluster(program.command('status'))
    .description('where canaries stand')
    .argument('[deployment]', 'deployment/NAME; without, all that are opted in')
    .option('-A, --all-namespaces', 'in all namespaces')
    .action((target: string | undefined, flags: Flags) => status(target, flags, around));
  for (const [order, what] of Object.entries(ORDERS))
    withCluster(program.command(order))
      .description(what)
      .argument('<deployment>', 'deployment/NAME')
      .action((target: string, flags: Flags) => give(order as Order, target, flags, around));
  return program;
}

async function wait(targets: string[], flags: Flags, around: Surroundings): Promise<ExitCode> {
  const timeoutMs = parseDuration(flags.timeout);
  if (timeoutMs === undefined || timeoutMs < 1000 || timeoutMs > MAX_TIMEOUT_MS)
    throw new UsageError(`--timeout is ${JSON.stringify(flags.timeout)}; allowed: 1s to 168h, such as 90s or 1h30m`);
  const names = [...new Set(targets.map(deploymentName))];
  const { client, namespace } = await connected(flags, around);
  const { signal } = around;
  const codes = await Promise.all(
    names.map((name) =>
      waitForVerdict({ client, namespace, name, timeoutMs, say: around.out, ...(signal ? { signal } : {}) }),
    ),
  );
  // A verdict against one of them is sure; without one, more waiting might have helped.
  return codes.find((code) => code === EXIT.bad) ?? codes.find((code) => code === EXIT.unknown) ?? EXIT.good;
}

/** Node's timers end at 2^31 ms; a week is also what `holdTimeout` allows. */
const MAX_TIMEOUT_MS = 168 * 3_600_000;

async function status(target: string | undefined, flags: Flags, around: Surroundings): Promise<void> {
  const name = target === undefined ? undefined : deploymentName(target);
  if (name !== undefined && flags.allNamespaces)
    throw new UsageError('--all-namespaces and deployment/NAME exclude each other');
  const { client, namespace } = await connected(flags, around);
  for (const line of await statusLines(client, flags.allNamespaces ? undefined : namespace, name)) around.out(line);
}

async function give(order: Order, target: string, flags: Flags, around: Surroundings): Promise<void> {
  const name = deploymentName(target);
  const { client, namespace } = await connected(flags, around);
  around.out(`deployment/${name}: ${await giveOrder(client, namespace, name, order)}`);
}

async function connected(flags: Flags, around: Surroundings): Promise<{ client: KubeClient; namespace: string }> {
  const { client, namespace } = await around.connect({ ...flags, onWarning: (text) => around.err(`Warning: ${text}`) });
  return { client, namespace: flags.namespace ?? namespace };
}
