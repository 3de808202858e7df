import { type Decision, decisionAnnotation } from '../../canary/decision.ts';
import { isConflict } from '../../kube/errors.ts';
import { DEPLOYMENTS } from '../../kube/resources.ts';
import type { Deployment } from '../../kube/types.ts';
import type { Context } from './context.ts';
import { recordOf, standingOf } from './standing.ts';
import { Moved, primaryOf } from './wait.ts';

/** Where a run stands once admission has acted on a decision. */
const EFFECT = { promote: 'promoting', complete: 'gone', rollback: 'rejected', restore: 'rejected' } as const;

/**
 * Writes the decision and goes on only if the answer shows what admission made of it: with the webhook absent the annotation
 * would be stored and nothing would follow from it.
 */
export async function sendDecision(ctx: Context, verdict: Decision['verdict'], message?: string): Promise<Deployment> {
  const { client, ref, fence, signal, view } = ctx;
  const before = standingOf(view.current(), ref);
  const decision: Decision = { run: ref.id, verdict, ...(message === undefined ? {} : { message }) };
  for (;;) {
    const primary = primaryOf(ctx);
    if (!recordOf(primary, ref)) throw new Moved('gone');
    await fence.check();
    const body = {
      metadata: {
        uid: primary.metadata.uid,
        resourceVersion: primary.metadata.resourceVersion,
        annotations: decisionAnnotation(decision),
      },
    };
    try {
      const target = { namespace: ref.namespace, name: ref.name };
      const answer = await client.patch<Deployment>(DEPLOYMENTS, target, 'merge', body, { signal });
      view.saw(answer);
      if (standingOf(answer, ref) === EFFECT[verdict]) return answer;
      throw new Error(
        `the API server stored the decision ${verdict} without effect: is Sidestep's webhook configuration in place?`,
      );
    } catch (e) {
      if (!isConflict(e)) throw e;
      view.saw(await client.get<Deployment>(DEPLOYMENTS, { namespace: ref.namespace, name: ref.name }, { signal }));
      const standing = standingOf(view.current(), ref);
      if (standing === EFFECT[verdict]) return primaryOf(ctx);
      // Aborted, paused or replaced in the meantime: what was decided may not fit any more.
      if (standing !== before) throw new Moved(standing);
    }
  }
}
