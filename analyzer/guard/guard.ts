import type { EvidenceReport, LookEvidence } from '../../canary/evidence.ts';
import type { CanarySpec, MetricSpec } from '../../canary/spec.ts';
import { addLook, type CompareState, type Judgement, judge, startCompare } from '../judge/compare.ts';
import { eventsOf, valueOfSide } from '../judge/events.ts';
import { judgeKayenta, type KayentaJudgement } from '../judge/kayenta/kayenta.ts';
import type { ComparePlan, MetricLook } from '../judge/metric-evidence.ts';
import { kayentaMetricOf, plansOf, scoringOf } from '../judge/plans.ts';
import type { InstantQuery } from '../metrics/prometheus.ts';
import { addToReport, lookCounts, metricEvidence } from '../report/evidence.ts';
import type { ComparedNames, Counted } from './names.ts';
import { Points } from './points.ts';
import { Reader } from './reader.ts';

export interface GuardOptions {
  ask: InstantQuery;
  analysis: CanarySpec['analysis'];
  names: ComparedNames;
  run: string;
  /** Of an earlier attempt at the same run: what it saw is kept. */
  report?: EvidenceReport | undefined;
}

interface Followed {
  metric: MetricSpec;
  reader: Reader;
  plan?: ComparePlan;
  points: Points;
}

const KIND: Record<MetricSpec['name'], Counted> = { 'request-success-rate': 'errors', 'request-duration': 'latency' };

/** Compares canary and primary from look to look, and keeps what it saw. One query for each metric and look. */
export class Guard {
  readonly #analysis: CanarySpec['analysis'];
  readonly #followed: Followed[];
  #compare: CompareState;
  #strays = false;
  #report: EvidenceReport;

  constructor({ ask, analysis, names, run, report }: GuardOptions) {
    const plans = plansOf(analysis);
    const wanted = ({ name }: MetricSpec) => analysis.judge === 'kayenta' || plans.some((plan) => plan.name === name);
    const once = new Map([...analysis.metrics].reverse().map((metric) => [metric.name, metric]));
    this.#analysis = analysis;
    this.#compare = startCompare(plans, analysis.compare.alpha);
    this.#report = report ?? { run, alpha: analysis.compare.alpha, metrics: [], looks: [], thinned: 0 };
    this.#followed = [...once.values()].filter(wanted).map((metric) => {
      const plan = plans.find(({ name }) => name === metric.name);
      return {
        metric,
        reader: new Reader(KIND[metric.name], ask, names),
        ...(plan ? { plan } : {}),
        points: new Points(),
      };
    });
  }

  /** What was seen so far, bounded in size. */
  get report(): EvidenceReport {
    return this.#report;
  }

  /** Whether the canary got requests at weight 0: of those who call its own Service, as a load test of the run before may still do. */
  get strays(): boolean {
    return this.#strays;
  }

  /** To be called with every change of the weight. */
  weightChanged(): void {
    for (const { reader } of this.#followed) reader.weightChanged();
  }

  /** Looks once. Never rejects for what Prometheus does. */
  async look(now: Date, weightPercent: number): Promise<Judgement> {
    const taken = await Promise.all(this.#followed.map(({ reader }) => reader.look(now)));
    const looks = this.#followed.map(
      (followed, i) => [followed, this.#counted(taken[i]!.look, weightPercent)] as const,
    );
    this.#compare = addLook(this.#compare, Object.fromEntries(looks.map(([{ metric }, look]) => [metric.name, look])));
    for (const [{ points }, look] of looks) points.add(look);
    const judgement = judge(this.#compare);
    const notes = [...new Set(taken.flatMap((t) => t.notes))];
    this.#keep(
      { at: now.toISOString(), weight: weightPercent, verdict: judgement.verdict, metrics: {}, notes },
      looks,
      judgement,
    );
    return judgement;
  }

  /** At weight 0 a look only learns what to compare with: pods that are not ready yet answer nobody, and no user meets that. */
  #counted(look: MetricLook, weightPercent: number): MetricLook {
    if (weightPercent > 0 || 'skipped' in look) return look;
    this.#strays ||= valueOfSide(look.canary) !== undefined;
    return { skipped: 'no requests are sent to the canary yet' };
  }

  #keep(look: LookEvidence, looks: (readonly [Followed, MetricLook])[], judgement: Judgement): void {
    for (const [{ metric, plan }, seen] of looks) {
      const own = judgement.metrics.find(({ name }) => name === metric.name);
      const events = plan && !('skipped' in seen) ? eventsOf(plan, seen) : undefined;
      if (own && events && !('skipped' in events)) {
        const leading = events.find(({ boundMs }) => boundMs === own.leading?.boundMs) ?? events[0]!;
        look.metrics[metric.name] = lookCounts(leading.arms, own);
      } else
        look.metrics[metric.name] = {
          skipped: own?.lastSkipped ?? ('skipped' in seen ? seen.skipped : 'not compared'),
        };
    }
    const queries = Object.fromEntries(
      this.#followed.map(({ metric, reader }) => [metric.name, { canary: reader.query, primary: reader.query }]),
    );
    this.#report = addToReport(this.#report, look, metricEvidence(judgement, queries));
  }

  /** The score of Kayenta's judge over all looks; undefined where the spec does not ask for it. */
  kayenta(): KayentaJudgement | undefined {
    if (this.#analysis.judge !== 'kayenta') return undefined;
    const series = this.#followed.map(({ metric, points: { canary, control } }) => ({
      metric: kayentaMetricOf(metric),
      canary,
      control,
    }));
    return judgeKayenta(series, scoringOf(this.#analysis));
  }
}
