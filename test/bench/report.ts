import type { Admission } from './admission.ts';
import type { Footprint } from './footprint.ts';
import type { analyzerGone, Bad, failedPromotion, Good, optInAndOut, pushedV3, sharedFault } from './scenarios.ts';

export interface Figures {
  latency: Admission;
  rest: Footprint;
  good: Good[];
  bad: Bad[];
  /** Judged by thresholds alone. */
  thresholds: Bad;
  fifth: Bad;
  slow: Bad;
  pushed: Awaited<ReturnType<typeof pushedV3>>;
  stuck: Awaited<ReturnType<typeof failedPromotion>>;
  opt: Awaited<ReturnType<typeof optInAndOut>>;
  shared: Awaited<ReturnType<typeof sharedFault>>;
  gone: Awaited<ReturnType<typeof analyzerGone>>;
  analyzers: { firstWriteMs: number[]; rssMb: number[] };
  intervalS: number;
  machine: string;
  date: string;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const ms = (values: number[]): string => values.map((v) => v.toFixed(1)).join(' / ');
const all = (values: (number | string)[]): string => values.join(' / ');

/** The figures as a page for docs/performance.md, beside those measured for Flagger 1.44 in the same scenario, and as one object. */
export function report(f: Figures): { markdown: string; json: Record<string, unknown> } {
  return { markdown: page(f), json: summary(f) };
}

function summary({
  latency,
  rest,
  good,
  bad,
  thresholds,
  fifth,
  slow,
  opt,
  gone,
  analyzers,
}: Figures): Record<string, unknown> {
  return {
    admission_added_p50_ms: median(latency.windows.map((w) => w.addedP50Ms)),
    admission_added_p99_ms: median(latency.windows.map((w) => w.addedP99Ms)),
    admission_noop_p50_ms: median(latency.windows.map((w) => w.yesP50Ms)),
    admission_noop_p99_ms: median(latency.windows.map((w) => w.yesP99Ms)),
    admission_calls_not_opted_in: latency.callsNotOptedIn,
    admission_calls_nothing_changed: latency.callsNothingChanged,
    webhook_ready_ms: rest.webhookReadyMs,
    webhook_rss_mb: rest.webhookRssMb,
    empty_node_rss_mb: rest.emptyNodeRssMb,
    webhook_requests_per_s_at_rest: rest.requestsPerSecondAtRest ?? null,
    analyzer_first_write_ms: median(analyzers.firstWriteMs),
    analyzer_rss_mb: median(analyzers.rssMb),
    promotion_overhead_s: median(good.map((g) => g.overheadS)),
    apply_to_first_answer_s: median(good.map((g) => g.firstAnswerS)),
    apply_to_full_v2_s: median(good.map((g) => g.fullS)),
    apply_to_canary_removed_s: median(good.map((g) => g.canaryRemovedS)),
    first_bad_to_zero_weight_s: median(bad.map((b) => b.exposureS)),
    first_bad_to_zero_weight_thresholds_alone_s: thresholds.exposureS,
    first_bad_to_zero_weight_fifth_s: fifth.exposureS,
    first_bad_to_zero_weight_slow_s: slow.exposureS,
    analyzer_gone_to_zero_weight_s: gone.exposureS,
    failed_user_requests_good: median(good.map((g) => g.failed)),
    failed_user_requests_bad: median(bad.map((b) => b.failed)),
    opt_in_restarts: opt.restarts,
    opt_in_failed_requests: opt.failedIn,
    opt_out_failed_requests: opt.failedOut,
  };
}

function page(f: Figures): string {
  const { latency, rest, good, bad, thresholds, fifth, slow, pushed, stuck, opt, shared, gone, analyzers } = f;
  const row = (...cells: (string | number)[]) => `| ${cells.join(' | ')} |`;
  return [
    '# Performance',
    '',
    `Measured by \`make bench\` on ${f.date}: ${f.machine}, the embedded cluster (Kubernetes, Istio, Prometheus, workloads and load on the same cores).`,
    `The tutorial's analysis with an interval of ${f.intervalS} s: 5 steps of 10 %, threshold 5, windows of 30 s; 100 requests/s of users and 20/s of the load-test hook.`,
    'Flagger 1.44 in the same scenario on a machine of the same kind, from its own measurement. One figure per run; times in seconds from `kubectl apply` unless said.',
    '',
    row('scenario', 'Sidestep', 'Flagger 1.44'),
    row('---', '---', '---'),
    row('good v2: first canary answer', all(good.map((g) => g.firstAnswerS)), '12.5 / 14.2 / 13.6'),
    row('good v2: last answer of v1', all(good.map((g) => g.lastOldAnswerS)), '65.3 / 66.9 / 66.2'),
    row('good v2: promoted and canary removed', all(good.map((g) => g.canaryRemovedS)), '82.4 / 83.9 / 83.4'),
    row('good v2: failed requests', all(good.map((g) => g.failed)), '0'),
    row('v2 fails every request: first to last bad answer', all(bad.map((b) => b.exposureS)), '60.0'),
    row('… failed requests', all(bad.map((b) => b.failed)), '579 / 599 / 620'),
    row('… reported as', bad[0]?.reported ?? '', 'no values found, probably not receiving traffic'),
    row(
      '… by thresholds alone (`compare: {enabled: false}`): exposure; failed',
      `${thresholds.exposureS}; ${thresholds.failed}`,
      '',
    ),
    row('… reported then as', thresholds.reported, ''),
    row('v2 fails 20 %: exposure; failed requests', `${fifth.exposureS}; ${fifth.failed}`, '60.0; 122 / 127'),
    row('v2 answers in 800 ms: exposure', slow.exposureS, '60'),
    row(
      'both versions fail 30 %, after 6 intervals',
      `${shared.phase} at ${shared.weight} %, ${shared.failedChecks} failed checks`,
      '',
    ),
    row(
      'analyzer killed for good: canary off the users after; failed requests',
      `${gone.exposureS}; ${gone.failed}`,
      '121.6; 1,183',
    ),
    row('bad v3 pushed at 20 %: unchecked answers', pushed.unchecked, '92'),
    row(
      'v2 never ready once promoted: ends on; failed requests',
      `${stuck.endsOn} after ${stuck.endedS}; ${stuck.failed}`,
      'broken v2 with all users',
    ),
    row('opt-in: pods replaced; failed requests', `${opt.restarts}; ${opt.failedIn}`, 'all; 0'),
    row('opt-out: failed requests', opt.failedOut, '2,365'),
    '',
    row('cost', 'Sidestep', 'beside it'),
    row('---', '---', '---'),
    row(
      `update held anew at 100/s, p50 in ms (API server histogram, ${latency.place})`,
      ms(latency.windows.map((w) => w.addedP50Ms)),
      `${ms(latency.windows.map((w) => w.yesP50Ms))} for a webhook that only says yes`,
    ),
    row('… p99', ms(latency.windows.map((w) => w.addedP99Ms)), ms(latency.windows.map((w) => w.yesP99Ms))),
    row(
      '… answered within 5 ms, and within 25 ms, in %',
      all(latency.windows.map((w) => w.addedWithin.join('; '))),
      all(latency.windows.map((w) => w.yesWithin.join('; '))),
    ),
    row('calls for Deployments not opted in', latency.callsNotOptedIn, ''),
    row('calls for updates without a change that matters', latency.callsNothingChanged, ''),
    row('webhook: start to ready', `${rest.webhookReadyMs} ms`, ''),
    row(
      'webhook: resident memory, 100 opted in among 1,000 others',
      `${rest.webhookRssMb} MB`,
      `${rest.emptyNodeRssMb} MB for an empty Node process`,
    ),
    row(
      'webhook: API requests per second at rest, watches aside',
      rest.requestsPerSecondAtRest ?? 'not measured',
      'Flagger: 61 at 10 s interval with 51 workloads',
    ),
    row('analyzer: start to first write', `${median(analyzers.firstWriteMs)} ms`, ''),
    row(
      'analyzer: most resident memory',
      `${median(analyzers.rssMb)} MB`,
      `${rest.emptyNodeRssMb} MB for an empty Node process`,
    ),
    row(`promotion beyond 5 × ${f.intervalS} s`, `${median(good.map((g) => g.overheadS))} s`, ''),
    '',
    'The histogram that the API server keeps of its calls to webhooks has the bounds 5 and 25 ms, and quantiles are interpolated between them: a p99 of 20 ms says that 96 % of the calls took at most 5 ms.',
    '',
  ].join('\n');
}
