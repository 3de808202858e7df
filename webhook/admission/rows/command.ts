import { COMMAND } from '../../../canary/annotations.ts';
import { runId } from '../../../canary/names.ts';
import { clip, type Run } from '../../../canary/run.ts';
import type { Facts } from '../facts.ts';
import { roomProblem } from '../room.ts';
import { servingHash } from '../stable.ts';
import type { Denied } from '../types.ts';
import { deny, type RowOutcome, recorded, timeOf } from './row.ts';

type Handler = (facts: Facts) => RowOutcome | Denied | Promise<RowOutcome | Denied>;

const COMMANDS = new Map<string, Handler>([
  ['abort', abort],
  ['retry', retry],
]);

/** Row 5: an order of the user, consumed here. */
export function command(facts: Facts): ReturnType<Handler> | undefined {
  const order = facts.object.metadata.annotations?.[COMMAND];
  if (order === undefined) return undefined;
  const handler = COMMANDS.get(order);
  if (!handler)
    return deny(
      422,
      `annotation ${COMMAND} is ${JSON.stringify(order.slice(0, 60))}; allowed: ${[...COMMANDS.keys()].join(', ')}`,
    );
  if (facts.templateChanged)
    return deny(422, `the command ${order} cannot come together with a changed pod template; send one of them first`);
  return handler(facts);
}

function abort({ run, input }: Facts): RowOutcome | Denied {
  if (!run || run.phase === 'rejected')
    return deny(
      409,
      `nothing to abort: ${input.name} ${run ? 'has a rejected version and no run' : 'has no canary run'}`,
    );
  const message = clip(`aborted by ${input.requester.username}`);
  return {
    change: recorded({ ...run, phase: 'rejected', time: timeOf(input.now), message }),
    warnings: [`canary of ${input.name} aborted: the stable version serves, the new one stays held`],
    audit: { run: run.id },
  };
}

async function retry(facts: Facts): Promise<RowOutcome | Denied> {
  const { run, input, object } = facts;
  if (run?.phase !== 'rejected')
    return deny(
      409,
      `nothing to retry: ${input.name} ${run ? `has a run that is ${run.phase}` : 'has no rejected version'}`,
    );
  const { spec, denied } = await facts.analysis();
  if (denied) return denied;
  const { message: _message, interrupted: _interrupted, ...rest } = run;
  const next: Run = {
    ...rest,
    id: runId(object.metadata.uid ?? '', object.metadata.generation ?? 0, run.hash, run.id),
    phase: 'held',
    stable: await servingHash(facts, run),
    requester: input.requester.username,
    time: timeOf(input.now),
    spec,
  };
  const tooLarge = roomProblem(facts, next);
  if (tooLarge) return tooLarge;
  return {
    change: recorded(next),
    warnings: [`canary of ${input.name} started again: run ${next.id}`],
    audit: { run: next.id },
  };
}
