import { DECISION, PROMOTED } from '../../../canary/annotations.ts';
import { type Decision, parseDecision } from '../../../canary/decision.ts';
import { clip, type Run } from '../../../canary/run.ts';
import type { Facts } from '../facts.ts';
import type { Denied } from '../types.ts';
import { deny, ENDED, type RowOutcome, recorded, timeOf } from './row.ts';

/** How many promoted versions are remembered: as many as a Deployment keeps ReplicaSets by default. */
const MAX_PROMOTED = 10;

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
  const rejected = {
    change: recorded({ ...run, phase: 'rejected', time: timeOf(facts.input.now), ...reason(message) }),
    audit,
  };
  switch (`${verdict} ${run.phase}`) {
    case 'promote held':
      return { change: recorded({ ...run, phase: 'promoting', time: timeOf(facts.input.now) }), audit };
    case 'complete promoting':
      return { change: { annotations: { ...ENDED.annotations, [PROMOTED]: promotedWith(run, facts) } }, audit };
    case 'rollback held':
    case 'restore promoting':
      return rejected;
    // Said again by an attempt that did not live to see the answer.
    case 'promote promoting':
    case 'rollback rejected':
    case 'restore rejected':
      return { audit };
    default:
      return deny(409, `the decision ${verdict} does not fit: run ${run.id} is ${run.phase}`);
  }
}

const reason = (message: string | undefined) => (message === undefined ? {} : { message: clip(message) });

function promotedWith(run: Run, { old, input }: Facts): string {
  const entry = { hash: run.hash, time: timeOf(input.now) };
  const before = readPromoted(old?.metadata.annotations?.[PROMOTED]).filter(({ hash }) => hash !== run.hash);
  return JSON.stringify([entry, ...before].slice(0, MAX_PROMOTED));
}

/** The versions promoted on this Deployment, newest first; an unreadable record counts as none. */
export function readPromoted(text: string | undefined): { hash: string; time: string }[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(value) ? value.filter((v) => typeof v?.hash === 'string' && typeof v?.time === 'string') : [];
  } catch {
    return [];
  }
}
