import { lookup } from 'node:dns/promises';
import { canaryDeploymentName, canaryServiceName } from '../canary/names.ts';
import type { Run } from '../canary/run.ts';
import type { CanarySpec } from '../canary/spec.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Log } from '../kube/log.ts';
import { DEPLOYMENTS, PDBS, SERVICES } from '../kube/resources.ts';
import type { Deployment, OwnerReference, Service } from '../kube/types.ts';
import { callHook, type HookDeps } from './checks/hooks.ts';
import type { Fence } from './fence.ts';
import { Guard } from './guard/guard.ts';
import { createRunGuard } from './guard/run-guard.ts';
import { evaluateMetrics } from './metrics/evaluate.ts';
import { createPrometheus } from './metrics/prometheus.ts';
import { createReread } from './metrics/reread.ts';
import { Refusal } from './refusal.ts';
import { createEvents } from './report/events.ts';
import type { Canary, Ports } from './run/context.ts';
import type { PrimaryView } from './run/primary-view.ts';
import type { Settings, Target } from './settings.ts';
import { createRouter, type RouterDeps, removeMirrors, restoreRoutes } from './traffic/router.ts';
import { settleGently } from './workload/gentle.ts';
import { canaryLabels, type PodDisruptionBudget } from './workload/labels.ts';
import { labelKeys, missingTheCanary, readPolicies } from './workload/policies.ts';
import { forgetVersion, isVersionReady, settleOn, versionsOf } from './workload/primary.ts';
import { resolveService } from './workload/service.ts';
import { createWorkload, removeCanary } from './workload/workload.ts';

export interface PortOptions {
  client: KubeClient;
  fence: Fence;
  log: Log;
  signal: AbortSignal;
  settings: Settings;
  target: Target;
  view: PrimaryView;
}

/** The real world behind the state machine. */
export function connectPorts({ client, fence, log, signal, settings, target }: PortOptions): Ports {
  const deps: RouterDeps = { client, fence, log, signal, clusterWide: settings.clusterWide };
  const { namespace, deployment } = target;
  const ask = createPrometheus({ url: settings.prometheusUrl, signal });
  const { event, written } = createEvents(
    client,
    log,
    { namespace, name: deployment, uid: target.uid },
    () => new Date(),
  );
  const evaluate = (spec: CanarySpec, service: string, workload: string, trafficSince: Date) =>
    evaluateMetrics({
      ask,
      metrics: spec.analysis.metrics,
      names: { namespace, service, workload },
      trafficSince,
      now: new Date(),
    });
  return {
    planCanary: (primary, spec) => planCanary(deps, primary, spec, target.run),
    evaluate: (canary, spec, trafficSince) =>
      evaluate(spec, canary.canaryService, canaryDeploymentName(deployment), trafficSince),
    evaluatePrimary: (canary, spec, trafficSince) => evaluate(spec, canary.service, deployment, trafficSince),
    callersReread: ({ service, canaryService }) => createReread({ ask, namespace, services: [service, canaryService] }),
    guard: (canary, run, before) =>
      createRunGuard({
        guard: new Guard({
          ask,
          analysis: run.spec.analysis,
          names: {
            namespace,
            service: canary.service,
            canaryService: canary.canaryService,
            workload: deployment,
            canaryWorkload: canaryDeploymentName(deployment),
          },
          run: run.id,
          report: before,
        }),
        pods: () => canary.pods(),
        now: () => new Date(),
      }),
    callHooks: async (_canary, run) =>
      Promise.all(
        run.spec.analysis.webhooks.map(async (hook) =>
          callHook(hook, payloadOf(run, target), await hookDeps(settings, namespace, signal)),
        ),
      ),
    restoreRoutes: () => restoreRoutes(deps, namespace, deployment),
    removeCanary: async () => {
      await removeCanary(deps, namespace, deployment);
      await removeMirrors(deps, namespace, deployment);
    },
    versions: (primary) => versionsOf(deps, primary),
    settle: (primary, keepHash) => settleOn(deps, primary, keepHash),
    settleGently: (primary, keepHash, known) => settleGently(deps, primary, keepHash, known),
    versionReady: (primary, hash) => isVersionReady(deps, primary, hash),
    forget: (primary, hash) => forgetVersion(deps, primary, hash),
    event,
    written,
  };
}

const payloadOf = (run: Run, { namespace, deployment }: Target) => ({
  name: deployment,
  namespace,
  phase: 'Progressing' as const,
  checksum: run.hash,
});

/** The API server is not to be called by hooks, whatever name leads to it. */
async function hookDeps({ allowedHookHosts }: Settings, namespace: string, signal: AbortSignal): Promise<HookDeps> {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const resolved = await lookup('kubernetes.default.svc', { all: true }).catch(() => []);
  return {
    namespace,
    allowedHosts: allowedHookHosts,
    forbiddenAddresses: [...(host ? [host] : []), ...resolved.map(({ address }) => address)],
    signal,
  };
}

const ownerOf = ({ metadata }: Deployment): OwnerReference => ({
  apiVersion: DEPLOYMENTS.apiVersion,
  kind: DEPLOYMENTS.kind,
  name: metadata.name,
  uid: metadata.uid!,
  blockOwnerDeletion: false,
});

/** Decides Service, labels and names of the canary from what the namespace has. Throws `Refusal`. */
async function planCanary(deps: RouterDeps, primary: Deployment, spec: CanarySpec, run: string): Promise<Canary> {
  const { client, signal } = deps;
  const namespace = primary.metadata.namespace!;
  const [{ items: services }, { items: pdbs }, policies] = await Promise.all([
    client.list<Service>(SERVICES, { namespace }, { signal }),
    client.list<PodDisruptionBudget>(PDBS, { namespace }, { signal }),
    readPolicies(client, namespace, signal),
  ]);
  const users = services.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by'] !== 'sidestep');
  const { service, port } = resolveService(users, primary, spec);
  const labels = canaryLabels(primary, users, pdbs, labelKeys(policies), run);
  const missed = missingTheCanary(policies, labels.changed);
  if (missed.length > 0 && !spec.allowPolicyMismatch) {
    throw new Refusal(
      `policies select the primary's pods by a label that the canary's pods cannot have: ${missed.join(', ')}; set allowPolicyMismatch: true if the canary may run without them`,
    );
  }
  await refuseForeignPods(deps, namespace, service, primary);
  const owner = ownerOf(primary);
  const canaryService = canaryServiceName(service.metadata.name);
  const workload = createWorkload(deps, { primary, service, labels, run, owner });
  const router = createRouter(deps, {
    namespace,
    primary: primary.metadata.name,
    service: service.metadata.name,
    port: port.port,
    ports: service.spec.ports ?? [],
    canaryService,
    run,
    owner,
    templateLabels: primary.spec.template.metadata?.labels ?? {},
  });
  return { service: service.metadata.name, port, canaryService, router, ...workload };
}

/** A Service that other workloads answer too cannot be split: the weight would be taken from theirs as well. */
async function refuseForeignPods(
  { client, signal }: RouterDeps,
  namespace: string,
  service: Service,
  primary: Deployment,
): Promise<void> {
  const { items } = await client.list<Deployment>(DEPLOYMENTS, { namespace }, { signal });
  const others = items.filter(({ metadata, spec }) => {
    if (metadata.uid === primary.metadata.uid || metadata.labels?.['app.kubernetes.io/managed-by'] === 'sidestep')
      return false;
    const labels = spec.template.metadata?.labels ?? {};
    return (spec.replicas ?? 1) > 0 && Object.entries(service.spec.selector ?? {}).every(([k, v]) => labels[k] === v);
  });
  if (others.length === 0) return;
  const names = others
    .map(({ metadata }) => metadata.name)
    .sort()
    .join(', ');
  throw new Refusal(
    `Service ${service.metadata.name} is answered by other Deployments too: ${names}; its requests cannot be split for ${primary.metadata.name} alone`,
  );
}
