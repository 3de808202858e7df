import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** One series of an instant answer. */
export interface Sample {
  labels: Record<string, string>;
  /** Finite and not negative. */
  value: number;
}

/** Prometheus could not be asked, or its answer is no set of counts. Never a pass, never a failure of the canary. */
export class MetricsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MetricsError';
  }
}

/** Asks Prometheus for the value of an expression at a moment; without one at its own present, whatever our clock says. */
export type InstantQuery = (query: string, at?: Date) => Promise<Sample[]>;

export interface PrometheusOptions {
  /** Such as `http://prometheus.istio-system:9090`, with a path prefix if there is one. */
  url: string;
  signal: AbortSignal;
  timeoutMs?: number;
}

/** Prometheus' own limit for a query is 2 min; a look that takes longer than this is of no use to a run. */
const TIMEOUT_MS = 5000;
/** About 50,000 series: a mesh with more callers of one Service needs recording rules. */
const MAX_BODY_BYTES = 10 * 1024 * 1024;

export function createPrometheus({ url, signal, timeoutMs = TIMEOUT_MS }: PrometheusOptions): InstantQuery {
  const base = new URL(url);
  return async (query, at) => {
    const target = new URL(`${base.pathname.replace(/\/$/, '')}/api/v1/query`, base);
    const form = new URLSearchParams({
      query,
      ...(at ? { time: (at.getTime() / 1000).toFixed(3) } : {}),
      timeout: `${timeoutMs}ms`,
    }).toString();
    const body = await post(target, form, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    return samplesOf(body);
  };
}

async function post(target: URL, form: string, signal: AbortSignal): Promise<string> {
  const send = target.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': Buffer.byteLength(form),
    accept: 'application/json',
  };
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const req = send(target, { method: 'POST', headers, signal }, resolve);
      // An answer that changes the protocol ends a request without an error.
      req.on('error', reject).on('close', () => reject(new Error('the connection was closed')));
      req.end(form);
    });
    const body = await readBounded(response);
    if (response.statusCode !== 200)
      throw new MetricsError(`Prometheus answered HTTP ${response.statusCode}${errorText(body)}`);
    return body;
  } catch (e) {
    if (e instanceof MetricsError) throw e;
    const why = signal.aborted ? 'no answer in time' : e instanceof Error ? e.message : String(e);
    throw new MetricsError(`Prometheus at ${target.host} could not be reached: ${why}`, { cause: e });
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      response.destroy();
      throw new MetricsError(`Prometheus answered with more than ${MAX_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Prometheus says in its answer what is wrong with a query. */
function errorText(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === 'string' ? `: ${error.slice(0, 200)}` : '';
  } catch {
    return '';
  }
}

/** @throws MetricsError unless the body is a successful vector of finite, non-negative values */
export function samplesOf(body: string): Sample[] {
  let answer: { status?: unknown; error?: unknown; data?: { resultType?: unknown; result?: unknown } };
  try {
    answer = JSON.parse(body);
  } catch (e) {
    throw new MetricsError('Prometheus answered with something that is not JSON', { cause: e });
  }
  if (answer?.status !== 'success') throw new MetricsError(`Prometheus answered with an error${errorText(body)}`);
  const { resultType, result } = answer.data ?? {};
  if (resultType !== 'vector' || !Array.isArray(result))
    throw new MetricsError(`Prometheus answered with a ${String(resultType)}, not with a vector`);
  return result.map(sampleOf);
}

/** How Go writes a number that is finite and not negative. JavaScript would also read an empty text, white space and `0x10`. */
const COUNT = /^\d{1,400}(?:\.\d{1,400})?(?:e[+-]?\d{1,3})?$/i;
export const parseCount = (text: unknown): number =>
  typeof text === 'string' && COUNT.test(text) ? Number(text) : Number.NaN;

function sampleOf(series: { metric?: Record<string, string>; value?: [number, string] }): Sample {
  const text = series?.value?.[1];
  const value = parseCount(text);
  if (!Number.isFinite(value))
    throw new MetricsError(`Prometheus answered with a value that is no count: ${String(text).slice(0, 40)}`);
  return { labels: series.metric ?? {}, value };
}
