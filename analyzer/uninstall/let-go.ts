import { DECISION, PAUSED_BY, PAUSED_BY_OPT_OUT, PHASE, PROMOTED, RUN, STATUS } from '../../canary/annotations.ts';
import { PROMOTED_CONDITION } from '../../canary/conditions.ts';
import { type Run, runOf } from '../../canary/run.ts';
import { statusOf } from '../../canary/status.ts';
import { isNotFound } from '../../kube/errors.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import { createEvents } from '../report/events.ts';
import type { UninstallDeps } from './uninstall.ts';

const AGAIN_MS = 500;
/** API servers hear within milliseconds that the webhook is no longer to be called. */
const MAX_TRIES = 60;

/**
 * Takes Sidestep's state off a Deployment. A version that was held or rejected stays behind the pause, since only that keeps it from
 * rolling out unseen; with `rollOut`, one that was held rolls out as it would have without Sidestep. An analyzer at work sees its run
 * gone, and withdraws its canary.
 */
export async function letGo(deps: UninstallDeps, seen: Deployment): Promise<void> {
  const { client, signal, log, sleep } = deps;
  const target = { namespace: seen.metadata.namespace!, name: seen.metadata.name };
  for (let tries = 0; ; tries++) {
    const current = tries === 0 ? seen : await find(deps, target);
    if (!current) return;
    const patch = patchOf(current, deps.settings.heldVersions);
    if (!patch) return;
    try {
      const answer = await client.patch<Deployment>(DEPLOYMENTS, target, 'merge', patch, { signal });
      // Whoever still reached the webhook got the state back.
      if (!isTouched(answer)) {
        await clearCondition(deps, answer);
        const run = runOf(current);
        if (run) await tell(deps, current, run, answer.spec.paused === true);
        log.info('let go', { ...target, run: run?.id, phase: run?.phase, paused: answer.spec.paused === true });
        return;
      }
    } catch (e) {
      if (tries >= MAX_TRIES || signal.aborted) throw e;
    }
    if (tries >= MAX_TRIES) throw new Error('the state is put back each time it is removed');
    await sleep(AGAIN_MS);
  }
}

async function find({ client, signal }: UninstallDeps, target: { namespace: string; name: string }) {
  try {
    return await client.get<Deployment>(DEPLOYMENTS, target, { signal });
  } catch (e) {
    if (isNotFound(e)) return undefined;
    throw e;
  }
}

const STATE = [RUN, PHASE, DECISION, PROMOTED];

const isTouched = ({ metadata }: Deployment): boolean => STATE.some((key) => key in (metadata.annotations ?? {}));

/** @returns undefined where nothing of ours is on the object */
function patchOf(deployment: Deployment, heldVersions: 'stay' | 'rollOut'): object | undefined {
  if (!isTouched(deployment)) return undefined;
  const { metadata, spec } = deployment;
  const run = runOf(deployment);
  const behindPause = spec.paused === true && (run?.phase === 'held' || run?.phase === 'rejected');
  const rollsOut = run?.phase === 'held' && heldVersions === 'rollOut';
  // The report of a run that is on is its analyzer's to remove: until then it says whether the canary carries a promotion.
  const over = run === undefined || statusOf(deployment)?.phase === 'Failed';
  return {
    metadata: {
      resourceVersion: metadata.resourceVersion,
      annotations: {
        ...Object.fromEntries(STATE.map((key) => [key, null])),
        ...(over ? { [STATUS]: null } : {}),
        ...(behindPause && !rollsOut ? { [PAUSED_BY]: PAUSED_BY_OPT_OUT } : {}),
      },
    },
    ...(behindPause && rollsOut ? { spec: { paused: null } } : {}),
  };
}

/** The verdict on a version answers for nothing any more. */
async function clearCondition({ client, signal }: UninstallDeps, { metadata, status }: Deployment): Promise<void> {
  if (!status?.conditions?.some(({ type }) => type === PROMOTED_CONDITION)) return;
  const target = { namespace: metadata.namespace!, name: metadata.name, subresource: 'status' as const };
  const body = {
    metadata: { uid: metadata.uid },
    status: { conditions: [{ $patch: 'delete', type: PROMOTED_CONDITION }] },
  };
  await client.patch(DEPLOYMENTS, target, 'strategic', body, { signal });
}

async function tell(
  { client, log, now }: UninstallDeps,
  { metadata }: Deployment,
  { phase }: Run,
  paused: boolean,
): Promise<void> {
  const { namespace, name, uid } = metadata;
  const rest = paused
    ? `the ${phase} version stays paused and the stable one goes on serving; roll it out with kubectl rollout resume deployment/${name}, or apply the stable version and resume`
    : 'its version rolls out natively';
  const { event, written } = createEvents(client, log, { namespace: namespace!, name, uid: uid! }, now);
  event('Warning', 'SidestepUninstalled', `Sidestep was uninstalled during a run: ${rest}`);
  await written();
}

/** Whether the canary may be what serves while the primary rolls. */
export const isPromoting = (deployment: Deployment | undefined): boolean =>
  deployment !== undefined && statusOf(deployment)?.promotingSince !== undefined;
