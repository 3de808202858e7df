import { answerKind, bucketKind } from '../metrics/answers.ts';
import type { Sample } from '../metrics/prometheus.ts';
import { addToReport, type EvidenceReport, type LookEvidence, lookCounts, metricEvidence } from '../report/evidence.ts';
import {
  addLook,
  type CompareState,
  type Judgement,
  judge,
  type Look,
  type MetricJudgement,
  startCompare,
} from './compare.ts';
import { eventsOf, valueOfSide } from './events.ts';
import { afterWeightChange, type LookMemory, type LookOptions, rawCounts, startLooks, takeLook } from './looks.ts';
import type { ComparePlan, MetricLook } from './metric-evidence.ts';

export interface GuardOptions {
  run: string;
  plans: readonly ComparePlan[];
  /** Risk that the metrics share. */
  alpha: number;
  /** What Prometheus is asked, by name of the metric; for the report. */
  queries: Readonly<Record<string, { canary: string; primary: string }>>;
  /** Whose counters are read: `POD_COUNTS` or `CALLER_COUNTS`. */
  newPods: LookOptions['newPods'];
}

/** Everything that a run's comparison remembers between two looks. */
export interface GuardState {
  options: GuardOptions;
  counters: Readonly<Record<string, LookMemory>>;
  compare: CompareState;
  report: EvidenceReport;
}

/** What Prometheus answered about a metric, as raw counters by side; or in words why it did not. */
export type Answer =
  | { canary: readonly Sample[]; primary: readonly Sample[]; answeredAtMs?: number }
  | { error: string };

export interface GuardLook {
  atMs: number;
  /** Percent to the canary. */
  weight: number;
  answers: Readonly<Record<string, Answer>>;
  /** Looks before this moment are the warm-up. */
  warmUpUntilMs: number;
}

export function startGuard(options: GuardOptions): GuardState {
  const { run, plans, alpha } = options;
  return {
    options,
    counters: Object.fromEntries(plans.map(({ name }) => [name, startLooks()])),
    compare: startCompare(plans, alpha),
    report: { run, alpha, metrics: [], looks: [], thinned: 0 },
  };
}

/** To be told before the first look after each change of weight. */
export const weightChanged = (state: GuardState): GuardState => ({
  ...state,
  counters: Object.fromEntries(Object.entries(state.counters).map(([name, m]) => [name, afterWeightChange(m)])),
});

/**
 * One look: from raw counters to a judgement and the report. Pure, and never throws: whatever is wrong with an answer is a look that
 * is skipped, named in the report, and no evidence.
 */
export function look(state: GuardState, at: GuardLook): { state: GuardState; judgement: Judgement } {
  const taken = state.options.plans.map((plan) => takeMetric(state, plan, at));
  const looks: Look = Object.fromEntries(taken.map(({ name, seen }) => [name, seen]));
  const compare = addLook(state.compare, looks);
  const judgement = judge(compare);
  const notes = taken.flatMap((t) => t.notes);
  const entry: LookEvidence = {
    at: Number.isFinite(at.atMs) && Math.abs(at.atMs) <= MAX_DATE_MS ? new Date(at.atMs).toISOString() : 'unknown',
    weight: at.weight,
    verdict: judgement.verdict,
    metrics: Object.fromEntries(
      state.options.plans.map((plan, i) => [plan.name, entryOf(plan, taken[i]!.seen, judgement.metrics[i]!)]),
    ),
    // The same pods serve every metric.
    ...(notes.length > 0 ? { notes: [...new Set(notes)] } : {}),
  };
  const report = addToReport(state.report, entry, metricEvidence(judgement, state.options.queries));
  const counters = Object.fromEntries(taken.map(({ name, memory }) => [name, memory]));
  return { state: { ...state, counters, compare, report }, judgement };
}

/** The last moment that a Date knows. */
const MAX_DATE_MS = 8.64e15;

interface Taken {
  name: string;
  memory: LookMemory;
  seen: MetricLook;
  notes: string[];
}

function takeMetric({ counters, options }: GuardState, { name, kind }: ComparePlan, at: GuardLook): Taken {
  const memory = counters[name] ?? startLooks();
  const answer = Object.hasOwn(at.answers, name) ? at.answers[name]! : { error: 'not asked' };
  if ('error' in answer) return { name, memory, seen: { skipped: answer.error }, notes: [] };
  const kindOf = kind === 'errors' ? answerKind : bucketKind;
  const raw = {
    atMs: at.atMs,
    ...(answer.answeredAtMs === undefined ? {} : { answeredAtMs: answer.answeredAtMs }),
    canary: rawCounts(answer.canary, kindOf),
    primary: rawCounts(answer.primary, kindOf),
  };
  const { newPods } = options;
  const taken = takeLook(memory, raw, { kind, warmUpUntilMs: at.warmUpUntilMs, newPods });
  return { name, memory: taken.memory, seen: taken.look, notes: taken.notes };
}

/** What the report says of one metric's look; the judge may have skipped what could be read. */
function entryOf(plan: ComparePlan, seen: MetricLook, judgement: MetricJudgement): LookEvidence['metrics'][string] {
  if ('skipped' in seen) return { skipped: seen.skipped };
  if (judgement.lastSkipped !== undefined) return { skipped: judgement.lastSkipped };
  const events = eventsOf(plan, seen);
  if ('skipped' in events) return { skipped: events.skipped };
  const leading = events.find(({ boundMs }) => boundMs === judgement.leading?.boundMs) ?? events[0]!;
  return lookCounts(leading.arms, judgement, valueOfSide(seen.canary));
}
