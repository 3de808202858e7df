import { describe, expect, test } from 'vitest';
import { Reader } from '../guard/reader.ts';
import { evaluateMetrics } from './evaluate.ts';
import { type InstantQuery, MetricsError } from './prometheus.ts';
import { createReread } from './reread.ts';

const START_MS = Date.UTC(2026, 0, 1);
const at = (s: number) => new Date(START_MS + s * 1000);

/** What a caller's proxy has counted: good answers and failures of the canaries, and good answers of the primary. */
interface Counts {
  canary?: [ok: number, errors: number];
  primary: number;
}

/** A Prometheus that scrapes callers at these seconds. */
function prometheus(scrapes: Record<string, [s: number, counts: Counts][]>) {
  let nowS = 0;
  let broken: string | undefined;
  const ask: InstantQuery = async (query, moment) => {
    if (broken !== undefined) throw new MetricsError(broken);
    const s = moment ? (moment.getTime() - START_MS) / 1000 : nowS;
    if (query === 'vector(time())') return [{ labels: {}, value: START_MS / 1000 + s }];
    if (query === 'count(up)') return [{ labels: {}, value: 9 }];
    const lasts = Object.entries(scrapes).flatMap(([pod, all]) => {
      const last = all.filter(([t]) => t <= s && s - t < 300).at(-1);
      return last ? [{ pod, at: last[0], counts: last[1] }] : [];
    });
    if (query.startsWith('min(timestamp(istio_requests_total{reporter="source"'))
      return lasts.length > 0
        ? [{ labels: {}, value: START_MS / 1000 + Math.min(...lasts.map((last) => last.at)) }]
        : [];
    if (!query.includes('reporter="source"')) return [];
    return lasts.flatMap(({ pod, counts: { canary, primary } }) => {
      const of = (service: string, code: string, value: number) => ({
        labels: { reporter: 'source', destination_service_name: service, response_code: code, pod },
        value,
      });
      return [
        ...(canary ? [of('reviews-canary', '200', canary[0])] : []),
        ...(canary && canary[1] > 0 ? [of('reviews-canary', '503', canary[1])] : []),
        ...(query.includes('"reviews-canary"') ? [] : [of('reviews', '200', primary)]),
      ];
    });
  };
  return {
    ask,
    reread: createReread({ ask, namespace: 'shop', services: ['reviews', 'reviews-canary'] }),
    go: (s: number) => {
      nowS = s;
    },
    breakDown: (why: string | undefined) => {
      broken = why;
    },
  };
}

/** The first second, from one on, at which callers have been read again. */
async function readAgain({ go, reread }: ReturnType<typeof prometheus>, from: number): Promise<number> {
  for (let s = from; s < from + 300; s++) {
    go(s);
    if ((await reread()) === undefined) return s;
  }
  throw new Error('never read again');
}

describe('callers are read again', () => {
  test('once each was scraped after the first question, by the clock of Prometheus', async () => {
    const world = prometheus({
      fast: [0, 5, 10, 15, 20].map((s) => [s, { primary: s }]),
      slow: [3, 18].map((s) => [s, { primary: s }]),
    });
    expect(await readAgain(world, 7)).toBe(18);
  });

  test('a scrape in the second of the first question says nothing of what came after', async () => {
    const world = prometheus({ a: [7, 9].map((s) => [s, { primary: s }]) });
    expect(await readAgain(world, 7)).toBe(9);
  });

  test('where there are none, there is nothing to wait for', async () => {
    expect(await readAgain(prometheus({}), 7)).toBe(8);
  });

  test('a Prometheus that cannot be asked has read nothing, and it is said', async () => {
    const world = prometheus({ a: [1, 2, 3, 4, 5].map((s) => [s, { primary: s }]) });
    world.breakDown('no answer in time');
    expect(await world.reread()).toBe('no answer in time');
    world.breakDown(undefined);
    world.go(3);
    expect(await world.reread()).toMatch(/has not read all callers again/);
    world.go(4);
    expect(await world.reread()).toBeUndefined();
  });
});

describe('failures of the version before, scraped late, are not counted of this one', () => {
  const names = { namespace: 'shop', service: 'reviews-canary', workload: 'reviews-canary' };
  const metrics = [{ name: 'request-success-rate' as const, thresholdRange: { min: 99 }, interval: '1m' }];
  /** Scraped every 30 s. The version before failed 20 times from second 20 to 24 and was taken out; the run began at second 30. */
  const scrapes = (before: Counts['canary'], mine: [ok: number, errors: number]) =>
    prometheus({
      gateway: [
        [15, { ...(before ? { canary: before } : {}), primary: 1000 }],
        [45, { canary: [(before?.[0] ?? 0) + 80, 20], primary: 2000 }],
        [75, { canary: [(before?.[0] ?? 0) + 80 + mine[0], 20 + mine[1]], primary: 3000 }],
      ],
    });

  test.each<[string, Counts['canary']]>([
    ['failed before', [100, 0]],
    ['had not been called when it was scraped last', undefined],
  ])('by thresholds: a good version is judged good (the one before %s)', async (_, before) => {
    const world = scrapes(before, [400, 0]);
    const trafficSince = at(await readAgain(world, 30));
    const { readings, requests } = await evaluateMetrics({ ...world, metrics, names, trafficSince, now: at(80) });
    expect(readings[0]).toMatchObject({ verdict: 'pass', value: 100 });
    expect(requests).toBe(400);
  });

  test('by thresholds: and one that fails every request, from the first, is judged 0 %', async () => {
    const world = scrapes([100, 0], [0, 40]);
    const trafficSince = at(await readAgain(world, 30));
    const { readings, requests } = await evaluateMetrics({ ...world, metrics, names, trafficSince, now: at(80) });
    expect(readings[0]).toMatchObject({ verdict: 'fail', value: 0 });
    expect(requests).toBe(40);
  });

  test.each<[string, Counts['canary'], [ok: number, errors: number]]>([
    ['a good version', [100, 0], [400, 0]],
    ['a good version, after one that had not been called when it was scraped last', undefined, [400, 0]],
    ['a version that fails', [100, 0], [0, 40]],
  ])('by the guard: %s', async (_, before, mine) => {
    const world = scrapes(before, mine);
    const reader = new Reader('errors', world.ask, {
      namespace: 'shop',
      service: 'reviews',
      canaryService: 'reviews-canary',
      workload: 'reviews',
      canaryWorkload: 'reviews-canary',
    });
    world.go(32);
    await reader.look(at(32));
    const trafficS = await readAgain(world, 33);
    reader.weightChanged();
    let errors = 0;
    let requests = 0;
    for (let s = trafficS + 2; s <= 80; s += 2) {
      world.go(s);
      const { look } = await reader.look(at(s));
      if (!('canary' in look) || !('errors' in look.canary)) continue;
      errors += look.canary.errors;
      requests += look.canary.requests;
    }
    expect({ errors, requests }).toEqual({ errors: mine[1], requests: mine[0] + mine[1] });
  });
});
