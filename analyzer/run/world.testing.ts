import { CANARY, ENABLED } from '../../canary/annotations.ts';
import { parseDecision } from '../../canary/decision.ts';
import { type Order, type Run, runAnnotations, runOf } from '../../canary/run.ts';
import { readSpec } from '../../canary/spec.ts';
import { type RunStatus, statusOf } from '../../canary/status.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { memoryLog } from '../../kube/log.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import { FakeCluster } from '../../kube/testing/fake-cluster.ts';
import type { Deployment } from '../../kube/types.ts';
import type { Finding } from '../guard/run-guard.ts';
import type { KayentaJudgement } from '../judge/kayenta/kayenta.ts';
import { Refusal } from '../refusal.ts';
import type { Context, Evaluation, Ports } from './context.ts';

/** What kills an attempt in a test. */
export class Killed extends Error {}

export interface WorldOptions {
  spec?: object;
  replicas?: number;
  strategy?: Deployment['spec']['strategy'];
  /** What the metrics say at a weight. */
  evaluate?: (weight: number, check: number) => Evaluation;
  ready?: () => boolean;
  refuse?: string;
  /** The routes become unfit at this weight. */
  refuseAt?: number;
  /** What the same metrics say of the primary. */
  evaluatePrimary?: () => Evaluation;
  earlyPromote?: (nowMs: number) => boolean;
  kayenta?: () => KayentaJudgement | undefined;
  /** What the guard finds at a weight. */
  find?: (weight: number, nowMs: number) => Finding | undefined;
  /** Whether the primary gets through its rollout. */
  promotes?: () => boolean;
  /** The run interrupted the promotion of this version, whose pods are ready or not. */
  interrupted?: { hash: string; ready: boolean };
  /** Why callers' counts cannot be built on, so many seconds after the start. */
  unread?: (seconds: number) => string | undefined;
  /** Others than the routes send requests to the canary from the start. */
  strays?: boolean;
  /** Before each wait: what happens in the world meanwhile. */
  meanwhile?: (world: World) => void;
}

const pass: Evaluation = {
  requests: 10,
  readings: [{ name: 'request-success-rate', value: 100, verdict: 'pass', message: 'fine' }],
};
export const failing: Evaluation = {
  requests: 10,
  readings: [{ name: 'request-success-rate', value: 0, verdict: 'fail', message: 'success rate 0 %' }],
};
export const silent: Evaluation = {
  requests: 0,
  readings: [{ name: 'request-success-rate', verdict: 'no-data', message: 'no requests' }],
};

/** A primary with a held version, an admission that acts on decisions, a primary that rolls, and a clock that moves when somebody waits. */
export function createWorld({
  spec = {},
  replicas = 2,
  strategy,
  evaluate = () => pass,
  ready = () => true,
  refuse,
  refuseAt,
  evaluatePrimary = () => pass,
  find = () => undefined,
  earlyPromote = () => false,
  kayenta = () => undefined,
  promotes = () => true,
  interrupted,
  unread = () => undefined,
  strays = false,
  meanwhile,
}: WorldOptions = {}) {
  const log = memoryLog();
  /** Everything that was done, in order. */
  const did: string[] = [];
  let nowMs = Date.parse('2026-01-01T00:00:00Z');
  let weight = 0;
  let checks = 0;
  let writes = 0;
  let killAt = Number.POSITIVE_INFINITY;
  /** Versions that have pods in the primary. */
  let versions = ['v1', ...(interrupted ? [interrupted.hash] : [])];
  const { spec: analysis } = readSpec(
    { defaults: { analysis: { interval: '10s', threshold: 2, maxWeight: 30, stepWeight: 10 }, ...spec } },
    { name: 'reviews' },
  );
  const run: Run = {
    id: 'run1',
    phase: 'held',
    hash: 'v2',
    stable: 'v1',
    requester: 'alice',
    time: '',
    spec: analysis!,
    ...(interrupted ? { interrupted: interrupted.hash } : {}),
  };
  const cluster = new FakeCluster([
    {
      kind: 'Deployment',
      metadata: {
        name: 'reviews',
        namespace: 'shop',
        uid: 'uid-1',
        generation: 1,
        annotations: { [CANARY]: ENABLED, ...runAnnotations(run) },
      },
      spec: {
        replicas,
        paused: true,
        selector: {},
        template: { spec: { containers: [] } },
        ...(strategy ? { strategy } : {}),
      },
      status: { observedGeneration: 1, replicas, updatedReplicas: 0, availableReplicas: replicas },
    },
  ]);
  const primary = () => cluster.find<Deployment>(DEPLOYMENTS, 'shop', 'reviews');
  const listeners = new Set<() => void>();
  const changed = () => {
    for (const listener of listeners) listener();
  };
  const edit = (change: (d: Deployment) => void) => {
    cluster.edit(DEPLOYMENTS, 'shop', 'reviews', (o) => change(o as Deployment));
    changed();
  };
  const write = (what: string) => {
    if (++writes === killAt) throw new Killed(what);
    did.push(what);
  };

  /** What the webhook does with a decision, and the Deployment controller with the released version. */
  const admit = (text: string): void => {
    const { verdict, message } = parseDecision(text)!;
    edit((d) => {
      const {
        'sidestep.dev/decision': _,
        'sidestep.dev/run': __,
        'sidestep.dev/phase': ___,
        ...rest
      } = d.metadata.annotations!;
      const { order, ...unordered } = runOf(d)!;
      if (verdict === 'promote' && order?.command === 'pause')
        throw new KubeError(409, 'Conflict', 'the run is paused');
      const before = verdict === 'promote' && order ? { ...unordered, order } : unordered;
      const phase = { promote: 'promoting', rollback: 'rejected', restore: 'rejected', complete: undefined }[verdict] as
        | Run['phase']
        | undefined;
      d.metadata.annotations = phase
        ? { ...rest, ...runAnnotations({ ...before, phase, ...(message ? { message } : {}) }) }
        : rest;
      if (verdict === 'promote') delete d.spec.paused;
      if (verdict === 'restore') d.spec.paused = true;
      if (verdict === 'promote' && promotes()) d.status!.updatedReplicas = replicas;
      if (verdict === 'promote') versions = promotes() ? ['v2'] : ['v1', 'v2'];
    });
  };

  const client: KubeClient = {
    ...cluster.client,
    patch: async (resource, target, type, body, options) => {
      const decision = (body as Deployment).metadata.annotations?.['sidestep.dev/decision'];
      write(
        decision
          ? `decide ${parseDecision(decision)!.verdict}`
          : `status ${(JSON.parse((body as Deployment).metadata.annotations?.['sidestep.dev/status'] ?? '{}') as Partial<RunStatus>).phase ?? 'erased'}`,
      );
      const stored = await cluster.client.patch(resource, target, type, body, options);
      if (!decision) return stored as never;
      admit(decision);
      return primary() as never;
    },
  };

  const ports: Ports = {
    planCanary: async () => {
      if (refuse) throw new Refusal(refuse);
      return {
        service: 'reviews',
        port: { port: 80 },
        canaryService: 'reviews-canary',
        prepare: async (n) => write(`canary ${n}`),
        scale: async (n) => write(`scale ${n}`),
        readiness: async () => ({
          wanted: 1,
          ready: ready() ? 1 : 0,
          ...(ready() ? {} : { problem: 'ImagePullBackOff' }),
        }),
        pods: async () => [],
        router: {
          prepare: async () => write('routes'),
          setWeight: async (percent) => {
            if (percent === refuseAt) throw new Refusal('routes of another namespace appeared');
            if (percent === weight) return;
            write(`weight ${percent}`);
            weight = percent;
          },
        },
      };
    },
    evaluate: async () => {
      checks++;
      return evaluate(weight, checks);
    },
    evaluatePrimary: async () => evaluatePrimary(),
    callersReread: () => async () => unread((nowMs - Date.parse('2026-01-01T00:00:00Z')) / 1000),
    guard: () => {
      let dueMs = 0;
      return {
        get dueMs() {
          return dueMs;
        },
        evidence: undefined,
        strays,
        get earlyPromote() {
          return earlyPromote(nowMs);
        },
        weightChanged: () => {},
        kayenta,
        look: async (percent) => {
          dueMs = nowMs + 2000;
          return find(percent, nowMs);
        },
      };
    },
    callHooks: async () => [],
    restoreRoutes: async () => {
      write('restore routes');
      weight = 0;
    },
    removeCanary: async () => {
      expectNoTraffic(weight);
      write('remove canary');
    },
    versions: async () => versions.map((hash) => ({ hash, ready: replicas })),
    settle: async (_primary, keep) => {
      write(`settle on ${keep}`);
      versions = [keep];
      return true;
    },
    settleGently: async (_primary, keep, known) => {
      const settled = versions.length === 1 && versions[0] === keep;
      if (known !== undefined && !settled) {
        write(`settle gently on ${keep}`);
        versions = [keep];
      }
      return { settled, ready: replicas };
    },
    versionReady: async (_primary, hash) => hash === interrupted?.hash && interrupted.ready,
    forget: async (_primary, hash) => write(`forget ${hash}`),
    event: (_type, reason) => did.push(`event ${reason}`),
    written: async () => {},
  };

  /** An attempt as the launcher starts it, with the memory that the last one left on the primary. */
  const attempt = (rollbackOnly = false): Context => {
    const current = primary();
    const before = current && statusOf(current);
    const signal = new AbortController().signal;
    return {
      client,
      log,
      ports,
      signal,
      clock: { now: () => new Date(nowMs) },
      propagationMs: 2000,
      ref: { id: 'run1', deploymentUid: 'uid-1', namespace: 'shop', name: 'reviews', attempt: 1, rollbackOnly },
      fence: { token: 1, check: async () => {}, guard: () => {}, renew: async () => {}, release: async () => {} },
      view: {
        current: primary,
        saw: () => {},
        nextChange: async (ms) => {
          nowMs += Math.min(ms, 1000);
          meanwhile?.(world);
        },
        onChange: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      status:
        before?.run === 'run1'
          ? before
          : {
              run: 'run1',
              attempt: 1,
              phase: 'Preparing',
              weight: 0,
              step: 0,
              steps: 0,
              failedChecks: 0,
              threshold: 0,
              message: '',
              startedAt: new Date(nowMs).toISOString(),
              updatedAt: '',
              replicas,
            },
    };
  };
  /** What admission records when a user sends a command. */
  const command = (order: Order['command'] | 'resume') =>
    edit((d) => {
      const { order: _, ...run } = runOf(d)!;
      const recorded = order === 'resume' ? run : { ...run, order: { command: order, requester: 'alice', time: '' } };
      Object.assign(d.metadata.annotations!, runAnnotations(recorded));
    });
  const world = {
    attempt,
    command,
    did,
    edit,
    primary,
    versions: () => versions,
    /** The primary has pods of these versions. */
    runs: (...hashes: string[]) => {
      versions = hashes;
    },
    /** Somebody deletes the Deployment. */
    remove: () => {
      cluster.remove(DEPLOYMENTS, 'shop', 'reviews');
      changed();
    },
    log,
    /** Dies instead of doing its k-th write from now. */
    killAtWrite: (k: number) => {
      writes = 0;
      killAt = k;
    },
    checks: () => checks,
    weights: () => did.filter((d) => d.startsWith('weight ')).map((d) => Number(d.slice(7))),
    status: () => statusOf(primary()!)!,
    condition: (type: string) => primary()?.status?.conditions?.find((c) => c.type === type),
    seconds: () => (nowMs - Date.parse('2026-01-01T00:00:00Z')) / 1000,
    /** Percent of requests that the routes give the canary. */
    weight: () => weight,
  };
  return world;
}

export type World = ReturnType<typeof createWorld>;

function expectNoTraffic(weight: number): void {
  if (weight !== 0) throw new Error(`the canary was removed at weight ${weight}`);
}
