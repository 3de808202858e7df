import type { Judgement, MetricJudgement } from '../judge/compare.ts';
import type { Arms } from '../judge/e-process.ts';
import { certaintyText, countText } from './numbers.ts';

/** What is kept of a metric for the whole run. */
export interface MetricEvidence {
  name: string;
  /** What Prometheus was asked for each side. */
  queries: { canary: string; primary: string };
  /** The bound in milliseconds over which an answer is slow; absent for errors. */
  slowMs?: number;
  ratio: number;
  minErrors: number;
  /** e-value at which this metric alone rolls back. */
  threshold: number;
  /** Sums over the run: events and requests. */
  canary: [events: number, requests: number];
  primary: [events: number, requests: number];
  /** Looks that counted, and those that did not by reason. */
  looks: number;
  skipped: Record<string, number>;
}

/** What one look came to. */
export interface LookEvidence {
  at: string;
  /** Percent to the canary. */
  weight: number;
  verdict: Judgement['verdict'];
  /** By metric: the look's own counts, the evidence after it; or why it counted nothing. */
  metrics: Record<string, LookCounts | { skipped: string }>;
  /** What was odd: restarts, pods gone, clocks. */
  notes?: string[];
}

export interface LookCounts {
  canary: [events: number, requests: number];
  primary: [events: number, requests: number];
  /** e-value after the look; 0 below the least number of errors. */
  e: number;
  /** What the thresholds saw at this look, in the metric's unit. */
  value?: number;
}

/** The evidence of a run, as it is kept after it. */
export interface EvidenceReport {
  run: string;
  alpha: number;
  metrics: MetricEvidence[];
  looks: LookEvidence[];
  /** Looks that were left out to keep this small. */
  thinned: number;
}

/** A ConfigMap holds far more, but an annotation beside other reports does not. */
export const MAX_REPORT_BYTES = 8 * 1024;

/** The look that decided and those just before it are never left out before the others. */
const LAST_KEPT = 8;
const MAX_TEXT = 240;

export const reportBytes = (report: EvidenceReport): number => Buffer.byteLength(JSON.stringify(report));

/**
 * Adds a look and keeps the report within `MAX_REPORT_BYTES` of JSON: older looks go, so that what is left is spread evenly over the
 * run. Texts are cut first of all.
 */
export function addToReport(report: EvidenceReport, look: LookEvidence, metrics: MetricEvidence[]): EvidenceReport {
  let next: EvidenceReport = {
    ...report,
    metrics: metrics.map(shortened),
    looks: [...report.looks, shortLook(look)],
  };
  while (reportBytes(next) > MAX_REPORT_BYTES && next.looks.length > 1) next = thin(next);
  return reportBytes(next) <= MAX_REPORT_BYTES ? next : bare(next);
}

/** Leaves out the look that is missed least: the older one, but not the first, whose neighbours are closest. */
function thin(report: EvidenceReport): EvidenceReport {
  const { looks } = report;
  const older = Math.max(0, looks.length - LAST_KEPT);
  const gap = (i: number): number => Date.parse(looks[i + 1]!.at) - Date.parse(looks[i - 1]!.at);
  let least = older > 1 ? 1 : 0;
  for (let i = 2; i < older; i++) if (gap(i) < gap(least)) least = i;
  return { ...report, looks: looks.filter((_, i) => i !== least), thinned: report.thinned + 1 };
}

/** Of too many metrics, or ones with too long names, only the first are told, and no look. */
function bare(report: EvidenceReport): EvidenceReport {
  let next = { ...report, looks: [], thinned: report.thinned + report.looks.length };
  while (reportBytes(next) > MAX_REPORT_BYTES && next.metrics.length > 0)
    next = { ...next, metrics: next.metrics.slice(0, -1) };
  return next;
}

const cut = (text: string, max = MAX_TEXT): string =>
  text.length > max ? `${text.slice(0, max - 1).toWellFormed()}…` : text;

/** Reasons that are told of a metric; the rest is summed up. */
const MAX_REASONS = 5;

function shortened(metric: MetricEvidence): MetricEvidence {
  const reasons = Object.entries(metric.skipped).sort(([, a], [, b]) => b - a);
  const rest = reasons.slice(MAX_REASONS).reduce((sum, [, n]) => sum + n, 0);
  return {
    ...metric,
    queries: { canary: cut(metric.queries.canary), primary: cut(metric.queries.primary) },
    skipped: Object.fromEntries([
      ...reasons.slice(0, MAX_REASONS).map(([reason, n]) => [cut(reason, 120), n] as const),
      ...(rest > 0 ? [['other reasons', rest] as const] : []),
    ]),
  };
}

const MAX_NOTES = 3;

function shortLook(look: LookEvidence): LookEvidence {
  const { notes, ...rest } = look;
  const metrics = Object.fromEntries(
    Object.entries(look.metrics).map(([name, m]) => [name, 'skipped' in m ? { skipped: cut(m.skipped, 120) } : m]),
  );
  const told = notes?.slice(0, MAX_NOTES).map((note) => cut(note, 120));
  return { ...rest, metrics, ...(told && told.length > 0 ? { notes: told } : {}) };
}

/** What of a judgement is kept of its metrics. */
export const metricEvidence = (
  { metrics }: Judgement,
  queries: Readonly<Record<string, { canary: string; primary: string }>>,
): MetricEvidence[] =>
  metrics.map(({ name, leading, ratio, minErrors, lnThreshold, used, skipped }) => ({
    name,
    queries: queries[name] ?? { canary: '', primary: '' },
    ...(leading?.boundMs === undefined ? {} : { slowMs: leading.boundMs }),
    ratio,
    minErrors,
    threshold: rounded(Math.exp(lnThreshold)),
    ...sides(leading?.total),
    looks: used,
    skipped: { ...skipped },
  }));

/** A look's own counts beside the evidence after it. */
export const lookCounts = (counts: Arms, { lnE }: MetricJudgement, value?: number): LookCounts => ({
  ...sides(counts),
  e: rounded(Math.exp(Math.min(lnE, MAX_LN_E))),
  ...(value === undefined ? {} : { value: rounded(value) }),
});

/** Beyond, it is no use to tell numbers apart, and JSON has no infinity. */
const MAX_LN_E = 100;

const sides = (arms: Arms | undefined): Pick<MetricEvidence, 'canary' | 'primary'> => ({
  canary: [arms?.canaryEvents ?? 0, arms?.canaryRequests ?? 0],
  primary: [arms?.primaryEvents ?? 0, arms?.primaryRequests ?? 0],
});

const rounded = (value: number): number => Number(value.toPrecision(4));

/**
 * One sentence of what was seen and what it means, such as "41 of 812 canary answers failed against 3 of 7,310 of the primary: more than
 * 1.5 times the share, with 99.9 % confidence". The confidence is 1 − 1/E: a version that is not worse ever reaches E with a probability
 * of at most 1/E, however often one looks. It is rounded down. It is no probability of the version being bad, which nobody can know.
 * @returns undefined while nothing has been counted
 */
export function evidenceSentence({ leading, verdict, lnDecisive, together }: Judgement): string | undefined {
  if (!leading?.leading) return undefined;
  const { boundMs, total } = leading.leading;
  const what = boundMs === undefined ? 'failed' : `took longer than ${countText(boundMs)} ms`;
  const counts =
    `${countText(total.canaryEvents)} of ${countText(total.canaryRequests)} canary answers ${what} against ` +
    `${countText(total.primaryEvents)} of ${countText(total.primaryRequests)} of the primary`;
  const times = leading.ratio === 1 ? 'a larger share' : `more than ${leading.ratio} times the share`;
  if (verdict !== 'roll back') return `${counts}: not shown to be ${times}`;
  const others = together ? 'together with the other metrics ' : '';
  return `${counts}: ${times}, ${others}with ${certaintyText(lnDecisive)} confidence`;
}
