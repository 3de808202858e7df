import { parseDuration } from '../../canary/duration.ts';
import type { MetricName, MetricSpec } from '../../canary/spec.ts';
import type { MetricReading } from '../../canary/status.ts';
import { messageOf } from '../../kube/errors.ts';
import { growth } from './counters.ts';
import { bucketsOf, quantile } from './duration.ts';
import { type InstantQuery, MetricsError } from './prometheus.ts';
import { type CanaryNames, durationQuery, requestsQuery, type Side } from './queries.ts';
import { successRate, sum } from './success-rate.ts';

/** The quantile of `request-duration`, as in Flagger. */
const P99 = 0.99;

export interface EvaluateOptions {
  ask: InstantQuery;
  metrics: MetricSpec[];
  names: CanaryNames;
  /** When this run's canary got its first request: nothing before it counts. */
  trafficSince: Date;
  now: Date;
}

export interface Evaluation {
  readings: MetricReading[];
  /** Requests to the canary within the longest window. */
  requests: number;
}

interface Measured {
  /** undefined: there were no requests to measure. */
  value: number | undefined;
  requests: number;
  /** Value and count for a person, such as `success rate 99.20 % of 250 requests`. */
  text: string;
}

type Measure = (options: EvaluateOptions, from: Date) => Promise<Measured>;

const MEASURES: Record<MetricName, Measure> = {
  'request-success-rate': measureSuccessRate,
  'request-duration': measureDuration,
};

/** The spec in a run's record was checked by whichever version of the webhook wrote it. */
function measureOf(name: string): Measure {
  if (!Object.hasOwn(MEASURES, name)) throw new MetricsError('this analyzer does not know the metric');
  return MEASURES[name as MetricName];
}

/** Reads every metric of a spec at a moment. Never rejects for what Prometheus does: that is a reading without a value. */
export async function evaluateMetrics(options: EvaluateOptions): Promise<Evaluation> {
  const results = await Promise.all(options.metrics.map((metric) => readMetric(metric, options)));
  return {
    readings: results.map(({ reading }) => reading),
    requests: Math.max(0, ...results.map(({ requests }) => requests)),
  };
}

async function readMetric(
  metric: MetricSpec,
  options: EvaluateOptions,
): Promise<{ reading: MetricReading; requests: number }> {
  const { name } = metric;
  const windowMs = parseDuration(metric.interval)!;
  const from = new Date(Math.max(options.now.getTime() - windowMs, options.trafficSince.getTime()));
  const seconds = Math.round((options.now.getTime() - from.getTime()) / 1000);
  try {
    const { value, requests, text } = await measureOf(name)(options, from);
    if (value === undefined)
      return {
        reading: { name, verdict: 'no-data', message: `no requests reached the canary in ${seconds}s` },
        requests,
      };
    return { reading: judge(metric, value, `${text} in ${seconds}s`), requests };
  } catch (e) {
    if (!(e instanceof MetricsError)) throw e;
    return { reading: { name, verdict: 'no-data', error: true, message: `${name}: ${messageOf(e)}` }, requests: 0 };
  }
}

function judge({ name, thresholdRange: { min, max } }: MetricSpec, value: number, text: string): MetricReading {
  const unit = name === 'request-duration' ? 'ms' : '%';
  if (min !== undefined && value < min)
    return { name, value, verdict: 'fail', message: `${text}, minimum ${min} ${unit}` };
  if (max !== undefined && value > max)
    return { name, value, verdict: 'fail', message: `${text}, maximum ${max} ${unit}` };
  return { name, value, verdict: 'pass', message: text };
}

/** The callers' counts where there are any: they include what never reached a pod. */
async function preferCallers(measure: (side: Side) => Promise<Measured>): Promise<Measured> {
  const callers = await measure('callers');
  return callers.value === undefined ? measure('pods') : callers;
}

function measureSuccessRate({ ask, names, now }: EvaluateOptions, from: Date): Promise<Measured> {
  return preferCallers(async (side) => {
    const rate = successRate(await growth(ask, requestsQuery(side, names), from, now));
    const requests = Math.round(rate?.requests ?? 0);
    return {
      value: rate?.percent,
      requests,
      text: `success rate ${percentText(rate?.percent ?? 0)} % of ${requests} requests`,
    };
  });
}

function measureDuration({ ask, names, now }: EvaluateOptions, from: Date): Promise<Measured> {
  return preferCallers(async (side) => {
    const growths = await growth(ask, durationQuery(side, names), from, now);
    const requests = Math.round(sum(growths.filter(({ labels }) => labels['le'] === '+Inf')));
    const value = quantile(P99, bucketsOf(growths));
    return { value, requests, text: `P99 ${Math.round(value ?? 0)} ms of ${requests} requests` };
  });
}

/** Two decimals, but never rounded up to a full 100 %. */
const percentText = (percent: number): string =>
  percent > 99.99 && percent < 100 ? '99.99' : percent.toFixed(2).replace(/\.?0+$/, '') || '0';
