import { DECISION } from '../../../canary/annotations.ts';
import { type Decision, parseDecision } from '../../../canary/decision.ts';
import type { Run } from '../../../canary/run.ts';
import type { Facts } from '../facts.ts';
import type { Denied } from '../types.ts';
import { withPromoted } from './promoted.ts';
import { rejected } from './rejected.ts';
import { deny, ENDED, type RowOutcome, recorded, timeOf } from './row.ts';

/** Row 3: the analyzer's word. From anybody else it was dropped by normalising; for another run it is refused. */
export function decision(facts: Facts): RowOutcome | Denied | undefined {
  const text = facts.object.metadata.annotations?.[DECISION];
  if (text === undefined || !facts.fromAnalyzer || !facts.wasOptedIn || !facts.optedIn) return undefined;
  const parsed = parseDecision(text);
  if (!parsed) return deny(400, `annotation ${DECISION} is no decision; allowed: JSON with run and verdict`);
  const { run } = facts;
  if (run?.id !== parsed.run) {
    return deny(409, `the decision is for run ${parsed.run}, but ${run ? `run ${run.id} is on` : 'no run is on'}`);
  }
  return apply(parsed, run, facts);
}

function apply({ verdict, message }: Decision, run: Run, facts: Facts): RowOutcome | Denied {
  const audit = { run: run.id, verdict };
  if (verdict === 'promote' && run.order?.command === 'pause')
    return deny(409, `the decision promote does not fit: run ${run.id} is paused by ${run.order.requester}`);
  switch (`${verdict} ${run.phase}`) {
    case 'promote held':
      return { change: recorded({ ...run, phase: 'promoting', time: timeOf(facts.input.now) }), audit };
    case 'complete promoting':
      return { change: { annotations: { ...ENDED.annotations, ...withPromoted(run, facts) } }, audit };
    case 'rollback held':
    case 'restore promoting':
      return { change: rejected(run, facts, message), audit };
    // Said again by an attempt that did not live to see the answer.
    case 'promote promoting':
    case 'rollback rejected':
    case 'restore rejected':
      return { audit };
    default:
      return deny(409, `the decision ${verdict} does not fit: run ${run.id} is ${run.phase}`);
  }
}
