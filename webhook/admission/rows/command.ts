import { COMMAND } from '../../../canary/annotations.ts';
import type { Order, Run } from '../../../canary/run.ts';
import type { Facts } from '../facts.ts';
import { roomProblem } from '../room.ts';
import { workloadProblem } from '../spec.ts';
import { servingHash } from '../stable.ts';
import type { Denied } from '../types.ts';
import { rejected } from './rejected.ts';
import { deny, nextRunId, type RowOutcome, recorded, timeOf } from './row.ts';

type Answer = RowOutcome | Denied | Promise<RowOutcome | Denied>;

const COMMANDS = ['promote', 'abort', 'retry', 'pause', 'resume'] as const;
type Command = (typeof COMMANDS)[number];
const isCommand = (text: string): text is Command => (COMMANDS as readonly string[]).includes(text);

/** Row 5: an order of the user, consumed here. */
export function command(facts: Facts): Answer | undefined {
  const order = facts.object.metadata.annotations?.[COMMAND];
  if (order === undefined) return undefined;
  if (!isCommand(order))
    return deny(422, `annotation ${COMMAND} is ${JSON.stringify(order.slice(0, 60))}; allowed: ${COMMANDS.join(', ')}`);
  if (facts.templateChanged)
    return deny(422, `the command ${order} cannot come together with a changed pod template; send one of them first`);
  const { run, input } = facts;
  const [state, ...allowed] = standingOf(run);
  if (run && allowed.includes(order)) return HANDLERS[order](facts, run);
  const instead = allowed.length > 0 ? `; allowed: ${allowed.join(', ')}` : '';
  return deny(409, `the command ${order} does not fit: ${input.name} ${state}${instead}`);
}

/** Where a run stands, in words, and the commands that fit there. */
function standingOf(run: Run | undefined): [state: string, ...allowed: Command[]] {
  if (!run) return ['has no canary run and no rejected version'];
  if (run.phase === 'promoting') return ['is being promoted', 'abort'];
  if (run.phase === 'rejected') return ['has a rejected version and no run', 'retry', 'promote'];
  if (run.order?.command === 'promote')
    return [`is to be promoted by order of ${run.order.requester}`, 'pause', 'abort'];
  if (run.order) return [`has a run that ${run.order.requester} paused`, 'resume', 'promote', 'abort'];
  return ['has a run that is on', 'promote', 'pause', 'abort'];
}

const HANDLERS: Record<Command, (facts: Facts, run: Run) => Answer> = { promote, abort, retry, pause, resume };

function abort(facts: Facts, run: Run): RowOutcome {
  const { name, requester } = facts.input;
  return {
    change: rejected(run, facts, `aborted by ${requester.username}`),
    warnings: [`canary of ${name} aborted: the stable version serves, the new one stays held`],
    audit: { run: run.id },
  };
}

function pause(facts: Facts, run: Run): RowOutcome {
  return {
    change: recorded({ ...run, order: orderOf('pause', facts) }),
    warnings: [
      `canary of ${facts.input.name} paused: it stays at its weight, and failed checks still roll it back. Go on with: kubectl annotate deployment/${facts.input.name} ${COMMAND}=resume`,
    ],
    audit: { run: run.id },
  };
}

function resume({ input }: Facts, { order: _, ...run }: Run): RowOutcome {
  return {
    change: recorded(run),
    warnings: [`canary of ${input.name} goes on: run ${run.id}`],
    audit: { run: run.id },
  };
}

/**
 * The order is recorded and the analyzer carries it out: admission cannot see to it that the mesh has pods enough while the primary rolls.
 * A rejected version gets a new run for that, as with retry; the old one's analyzer has ended, and its verdict stands.
 */
async function promote(facts: Facts, run: Run): Promise<RowOutcome | Denied> {
  const order = orderOf('promote', facts);
  const next = run.phase === 'rejected' ? await again(facts, run) : { run };
  if (next.denied) return next.denied;
  return {
    change: recorded({ ...next.run, order }),
    warnings: [
      `this version of ${facts.input.name} is promoted without further checks: run ${next.run.id}. Follow it with: kubectl rollout status deployment/${facts.input.name}`,
    ],
    audit: { run: next.run.id },
  };
}

async function retry(facts: Facts, run: Run): Promise<RowOutcome | Denied> {
  const next = await again(facts, run);
  if (next.denied) return next.denied;
  return {
    change: recorded(next.run),
    warnings: [`canary of ${facts.input.name} started again: run ${next.run.id}`],
    audit: { run: next.run.id },
  };
}

/** A new run of the rejected version, with the analysis that holds now. */
async function again(
  facts: Facts,
  run: Run,
): Promise<{ run: Run; denied?: undefined } | { run?: undefined; denied: Denied }> {
  const { input } = facts;
  const { spec, denied } = await facts.analysis();
  if (denied) return { denied };
  const problem = workloadProblem(facts, spec);
  if (problem) return { denied: problem };
  const { message: _message, interrupted: _interrupted, ...rest } = run;
  const next: Run = {
    ...rest,
    id: nextRunId(facts, run.hash),
    phase: 'held',
    stable: await servingHash(facts, run),
    requester: input.requester.username,
    time: timeOf(input.now),
    spec,
  };
  const tooLarge = roomProblem(facts, next);
  return tooLarge ? { denied: tooLarge } : { run: next };
}

const orderOf = (command: Order['command'], { input }: Facts): Order => ({
  command,
  requester: input.requester.username,
  time: timeOf(input.now),
});
