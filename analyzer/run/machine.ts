import { type AnalyzerPhase, type EndPhase, isEndPhase } from '../../canary/status.ts';
import { isTransient, messageOf } from '../../kube/errors.ts';
import { Refusal } from '../refusal.ts';
import { cancelling } from './cancelling.ts';
import type { Context } from './context.ts';
import { fail } from './failure.ts';
import { finalising } from './finalising.ts';
import { paused } from './paused.ts';
import { preparing } from './preparing.ts';
import { progressing } from './progressing.ts';
import { promoting } from './promoting.ts';
import { rollingBack } from './rolling-back.ts';
import { type Standing, standingOf } from './standing.ts';
import { Alarm, Moved, Stopped, settleFor } from './wait.ts';

type Phase = (ctx: Context) => Promise<AnalyzerPhase>;

/** The state machine: each phase works until the run leaves it, and says where to. */
const PHASES: Record<Exclude<AnalyzerPhase, EndPhase>, Phase> = {
  Preparing: preparing,
  Progressing: progressing,
  Paused: paused,
  Promoting: promoting,
  Finalising: finalising,
  RollingBack: rollingBack,
  Cancelling: cancelling,
};

/** Between two tries when the API server does not answer: it restarts within seconds, and a run has time. */
const RETRY_MS = 1000;

/**
 * Runs until an end. Phases may be entered any number of times, by any attempt: each writes its intent, acts idempotently and
 * observes. Throws `Stopped`, `FencedOut` and whatever is neither foreseen nor passing; the launcher then starts another attempt.
 */
export async function runMachine(ctx: Context): Promise<EndPhase> {
  let phase = entryPhase(ctx);
  for (;;) {
    if (isEndPhase(phase)) return phase;
    ctx.log.info('phase', { phase });
    try {
      phase = await PHASES[phase](ctx);
    } catch (e) {
      if (e instanceof Moved) phase = entryPhase(ctx);
      // Routes or objects became unfit while the run was on: a verdict on the target, not an accident of this attempt.
      else if (e instanceof Refusal && phase !== 'RollingBack') phase = await fail(ctx, e.reason, e.message);
      else if (e instanceof Alarm) phase = await fail(ctx, e.reason, e.message);
      else if (isTransient(e) && !ctx.signal.aborted) {
        ctx.log.warn('API server did not answer, trying again', { phase, error: messageOf(e) });
        await settleFor(ctx, RETRY_MS);
        phase = entryPhase(ctx);
      } else throw ctx.signal.aborted ? new Stopped() : e;
    }
  }
}

/** Where to go on: what admission recorded counts first, then what this run last said that it was doing. */
export function entryPhase({ view, ref, status }: Context): AnalyzerPhase {
  return ENTRY[standingOf(view.current(), ref)](status.phase);
}

const undoing = (before: AnalyzerPhase): boolean => before === 'RollingBack' || before === 'Failed';

const ENTRY: Record<Standing, (before: AnalyzerPhase) => AnalyzerPhase> = {
  // Routes and canary are made sure of before anything is judged, also by an attempt that takes over in the middle.
  held: (before) => (undoing(before) ? 'RollingBack' : 'Preparing'),
  // An order that comes when the version is on its way out comes too late; a rejected one can be promoted anew.
  paused: (before) => (undoing(before) ? 'RollingBack' : 'Paused'),
  ordered: (before) => (undoing(before) ? 'RollingBack' : 'Promoting'),
  promoting: (before) => (before === 'RollingBack' ? 'RollingBack' : 'Promoting'),
  rejected: () => 'RollingBack',
  gone: (before) => (before === 'Finalising' || before === 'Succeeded' ? 'Finalising' : 'Cancelling'),
};
