import { COMMAND } from '../canary/annotations.ts';
import { runOf } from '../canary/run.ts';
import type { KubeClient } from '../kube/client.ts';
import { DEPLOYMENTS } from '../kube/resources.ts';
import type { Deployment } from '../kube/types.ts';

/** What admission takes as `sidestep.dev/command`; it alone knows which one fits where, and refuses with a sentence. */
export const ORDERS = {
  promote: 'promote the held or rejected version without further checks',
  abort: 'end the run and reject its version',
  retry: 'analyse the rejected version again',
  pause: 'stay at the present weight',
  resume: 'go on after a pause',
} as const;
export type Order = keyof typeof ORDERS;

const FIELD_MANAGER = 'kubectl-sidestep';

/**
 * Gives an order and sees to it that it was taken.
 * @returns where the run stands then, for a person
 * @throws KubeError with admission's sentence if it refuses
 */
export async function giveOrder(client: KubeClient, namespace: string, name: string, order: Order): Promise<string> {
  const answer = await client.patch<Deployment>(
    DEPLOYMENTS,
    { namespace, name },
    'merge',
    { metadata: { annotations: { [COMMAND]: order } } },
    { query: { fieldManager: FIELD_MANAGER } },
  );
  if (answer.metadata.annotations?.[COMMAND] !== undefined)
    throw new Error(
      `the API server stored the command ${order} without effect: is the Deployment opted in, and is Sidestep installed?`,
    );
  const run = runOf(answer);
  return run ? `${order}: run ${run.id} is ${run.phase}` : `${order}: no run is on`;
}
