import { type RunStatus, statusOf } from '../canary/status.ts';
import { connect as connectKube } from '../kube/connect.ts';
import { messageOf } from '../kube/errors.ts';
import { createLogger } from '../kube/log.ts';
import type { Deployment } from '../kube/types.ts';
import { FencedOut, takeFence } from './fence.ts';
import { keepingLease } from './heartbeat.ts';
import { connectPorts } from './ports.ts';
import type { Context } from './run/context.ts';
import { runMachine } from './run/machine.ts';
import { watchPrimary } from './run/primary-view.ts';
import { Stopped } from './run/wait.ts';
import { parseTarget, readSettings, readUninstallSettings, type Settings, type Target } from './settings.ts';
import { realSleep, uninstall } from './uninstall/uninstall.ts';
import { watch } from './watchman/watch.ts';

/** 0: a clean end, whatever the verdict. 1: the launcher is to start another attempt. 2: wrong arguments. 3: another attempt has taken over. */
const EXIT = { clean: 0, unfinished: 1, usage: 2, fenced: 3 } as const;

function stopSignal(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  return stop;
}

async function main(): Promise<number> {
  if (process.argv[2] === 'watchman') return watchman();
  if (process.argv[2] === 'uninstall') return beforeUninstall();
  const target = parseTarget(process.argv);
  const settings = readSettings(process.env);
  const log = createLogger(settings.logLevel, settings.logFormat).child({
    namespace: target.namespace,
    deployment: target.deployment,
    run: target.run,
    attempt: target.attempt,
  });
  const stop = stopSignal();
  try {
    const ctx = await connect(target, settings, log, stop.signal);
    const end = await keepingLease({ fence: ctx.fence, log, lost: () => stop.abort() }, () => runMachine(ctx));
    await Promise.all([ctx.fence.release(), ctx.ports.written()]);
    log.info('run ended', { end, maxRssMb: Math.round(process.resourceUsage().maxRSS / 1024) });
    return EXIT.clean;
  } catch (e) {
    if (e instanceof FencedOut) {
      log.warn('fenced out', { error: messageOf(e) });
      return EXIT.fenced;
    }
    log.error('attempt ended without a verdict', {
      error: messageOf(e),
      ...(e instanceof Stopped ? {} : { stack: e instanceof Error ? e.stack : undefined }),
    });
    return EXIT.unfinished;
  }
}

async function watchman(): Promise<number> {
  const settings = readSettings(process.env);
  const log = createLogger(settings.logLevel, settings.logFormat);
  await watch({ client: await connectKube(), settings, log, signal: stopSignal().signal });
  return EXIT.clean;
}

/** The chart's pre-delete hook. */
async function beforeUninstall(): Promise<number> {
  const settings = readUninstallSettings(process.env);
  const log = createLogger(settings.logLevel, settings.logFormat);
  const { signal } = stopSignal();
  const now = () => new Date();
  try {
    const client = await connectKube();
    const left = await uninstall({ client, settings, log, signal, now, sleep: realSleep(signal) });
    if (left.length === 0) return EXIT.clean;
    log.error('canaries are left', { workloads: left });
  } catch (e) {
    log.error('uninstall not prepared', { error: messageOf(e) });
  }
  return EXIT.unfinished;
}

async function connect(target: Target, settings: Settings, log: Context['log'], signal: AbortSignal): Promise<Context> {
  const client = await connectKube();
  const ref = {
    id: target.run,
    deploymentUid: target.uid,
    namespace: target.namespace,
    name: target.deployment,
    attempt: target.attempt,
    rollbackOnly: target.rollbackOnly,
  };
  const now = () => new Date();
  const [fence, view] = await Promise.all([
    takeFence({
      client,
      namespace: settings.ownNamespace,
      workload: target,
      holder: settings.jobName,
      now,
      signal,
    }),
    watchPrimary({
      client,
      namespace: target.namespace,
      name: target.deployment,
      signal,
      onError: (e) => log.warn('watch of the Deployment failed, trying again', { error: messageOf(e) }),
    }),
  ]);
  log.info('lease taken', { sinceStartMs: Math.round(performance.now()), token: fence.token });
  const ports = connectPorts({ client, fence, log, signal, settings, target, view });
  return {
    client,
    log,
    clock: { now },
    signal,
    ref,
    fence,
    view,
    ports,
    propagationMs: settings.propagationMs,
    status: statusFor(view.current(), target, now()),
  };
}

/** The memory of the attempt before, or a fresh one. */
function statusFor(primary: Deployment | undefined, target: Target, now: Date): RunStatus {
  const before = primary && statusOf(primary);
  if (before?.run === target.run) return { ...before, attempt: target.attempt };
  const time = now.toISOString();
  return {
    run: target.run,
    attempt: target.attempt,
    phase: 'Preparing',
    weight: 0,
    step: 0,
    steps: 0,
    failedChecks: 0,
    threshold: 0,
    message: '',
    startedAt: time,
    updatedAt: time,
    replicas: primary?.spec.replicas ?? 1,
  };
}

try {
  process.exitCode = await main();
} catch (e) {
  process.stderr.write(`sidestep-analyzer: ${messageOf(e)}\n`);
  process.exitCode = EXIT.usage;
}
// Watches and keep-alive sockets would keep the process; everything that matters is written.
process.exit();
