import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { COMMAND } from '../canary/annotations.ts';
import { DEPLOYMENTS } from '../kube/resources.ts';
import { FakeApiServer } from '../kube/testing/fake-api-server.ts';
import { hashOf, RUN, reviews, STATUS } from './fixtures.ts';
import { runProgram } from './program.ts';

let server: FakeApiServer;
let out: string[];
let err: string[];
let stop: AbortController;

beforeEach(async () => {
  server = await FakeApiServer.start();
  out = [];
  err = [];
  stop = new AbortController();
});
afterEach(() => server.stop());

const sidestep = (...args: string[]) =>
  runProgram(args, {
    connect: async () => ({ client: server.client(), namespace: 'shop' }),
    out: (line) => out.push(line),
    err: (line) => err.push(line),
    signal: stop.signal,
  });
const put = (...shape: Parameters<typeof reviews>) => server.put(DEPLOYMENTS, reviews(...shape));
const said = (text: string) => vi.waitFor(() => expect(out.join('\n')).toContain(text), { timeout: 5000, interval: 5 });
const REJECTED = { ...RUN, phase: 'rejected', message: 'bad' } as const;

describe('wait', () => {
  test('says each step and ends with the promotion', async () => {
    put({ run: RUN });
    const waiting = sidestep('wait', 'deployment/reviews');
    await said('starting');
    put({ run: RUN, status: STATUS });
    await said('20 %');
    put({ run: { ...RUN, phase: 'promoting' } });
    await said('promoting');
    put({ promoted: [{ hash: RUN.hash, time: '2026-01-01T12:09:00Z' }] });
    expect(await waiting).toBe(0);
    expect(out).toEqual([
      'deployment/reviews: run r1: the analysis is starting',
      'deployment/reviews: run r1: Progressing, 20 % of the requests, step 2 of 5, 1 of 5 failed checks: request-success-rate 99.9 %',
      'deployment/reviews: run r1: promoting, the primary rolls to the new version',
      'deployment/reviews: run r1 promoted',
    ]);
  });

  test('a change that says nothing new is not said', async () => {
    put({ run: RUN, status: STATUS });
    const waiting = sidestep('wait', 'reviews');
    await said('20 %');
    put({ run: RUN, status: { ...STATUS, updatedAt: '2026-01-01T12:03:00Z' } });
    put({ run: REJECTED });
    expect(await waiting).toBe(1);
    expect(out).toHaveLength(2);
  });

  test('ends 1 with the reason after a rollback', async () => {
    put({ run: RUN });
    const waiting = sidestep('wait', 'deploy/reviews', '-n', 'shop');
    await said('starting');
    put({ run: REJECTED });
    expect(await waiting).toBe(1);
    expect(out.at(-1)).toBe('deployment/reviews: run r1 rolled back: bad');
  });

  test('is not fooled by the verdict on the version before', async () => {
    put({ run: { ...RUN, id: 'r2' }, status: { ...STATUS, run: 'r1', phase: 'Failed' } });
    const waiting = sidestep('wait', 'reviews', '--timeout', '1s');
    await said('run r2: the analysis is starting');
    expect(await waiting).toBe(2);
    expect(out.at(-1)).toBe('deployment/reviews: no verdict within 1s');
  });

  test('ends 1 when the Deployment is deleted, 1 when another version takes the place', async () => {
    put({ run: RUN });
    const waiting = sidestep('wait', 'reviews');
    await said('starting');
    server.remove(DEPLOYMENTS, 'shop', 'reviews');
    expect(await waiting).toBe(1);
    put({ run: RUN });
    const second = sidestep('wait', 'reviews');
    await vi.waitFor(() => expect(out.filter((line) => line.endsWith('starting'))).toHaveLength(2));
    put({ version: 'v3', run: { ...RUN, id: 'r2', hash: hashOf('v3') } });
    expect(await second).toBe(1);
    expect(out.at(-1)).toContain('run r2 took its place');
  });

  test('ends at once where there is nothing to wait for, and where there is no such Deployment', async () => {
    put();
    expect(await sidestep('wait', 'reviews')).toBe(0);
    expect(await sidestep('wait', 'ratings')).toBe(2);
    expect(out.at(-1)).toBe('deployment/ratings: there is no such Deployment in namespace shop');
  });

  test('of several, one that was rolled back decides', async () => {
    put({ run: REJECTED });
    server.put(DEPLOYMENTS, { ...reviews(), metadata: { ...reviews().metadata, name: 'ratings' } });
    expect(await sidestep('wait', 'deployment/reviews', 'deployment/ratings')).toBe(1);
    expect(await sidestep('wait', 'deployment/ratings', 'deployment/details')).toBe(2);
  });

  test('survives an API server that does not answer for a while', async () => {
    let broken = true;
    server.intercept = () =>
      broken ? { status: 503, body: { reason: 'ServiceUnavailable', message: 'etcd' } } : undefined;
    put({ run: REJECTED });
    const waiting = sidestep('wait', 'reviews');
    await said('the API server does not answer, trying again: etcd');
    broken = false;
    expect(await waiting).toBe(1);
  });

  test('does not try again what is forbidden', async () => {
    server.intercept = () => ({ status: 403, body: { reason: 'Forbidden', message: 'cannot list deployments' } });
    expect(await sidestep('wait', 'reviews')).toBe(2);
    expect(out).toEqual(['deployment/reviews: cannot list deployments']);
  });

  test('is no verdict when it is interrupted', async () => {
    put({ run: RUN });
    const waiting = sidestep('wait', 'reviews');
    await said('starting');
    stop.abort();
    expect(await waiting).toBe(2);
    expect(out.at(-1)).toContain('interrupted before the verdict');
  });

  test.each([
    [['wait'], "missing required argument 'deployment'"],
    [['wait', 'statefulset/reviews'], '"statefulset/reviews" names no Deployment; allowed: deployment/NAME'],
    [['wait', 'deployment/Re views'], 'names no Deployment'],
    [['wait', 'reviews', '--timeout', 'soon'], '--timeout is "soon"; allowed: 1s to 168h, such as 90s or 1h30m'],
    [['wait', 'reviews', '--timeout', '500h'], '--timeout is "500h"'],
    [['wait', 'reviews', '--watch'], "unknown option '--watch'"],
    [['follow', 'reviews'], "unknown command 'follow'"],
    [['status', 'reviews', '-A'], 'exclude each other'],
  ])('%j is wrong use', async (args, message) => {
    expect(await sidestep(...args)).toBe(2);
    expect(err.join('\n')).toContain(message);
    expect(server.requests).toEqual([]);
  });

  test('no cluster is no verdict', async () => {
    const connect = async () => Promise.reject(new Error('the kubeconfig names no current cluster'));
    const around = { connect, out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
    expect(await runProgram(['wait', 'reviews'], around)).toBe(2);
    expect(await runProgram(['abort', 'reviews'], around)).toBe(1);
    expect(err[0]).toBe('error: the kubeconfig names no current cluster');
  });
});

describe('orders', () => {
  test('are sent as an annotation, and what admission made of it is told', async () => {
    put({ run: RUN });
    server.intercept = ({ method }) =>
      method === 'PATCH' ? { status: 200, body: reviews({ run: { ...RUN, phase: 'rejected' } }) } : undefined;
    expect(await sidestep('abort', 'deployment/reviews')).toBe(0);
    expect(out).toEqual(['deployment/reviews: abort: run r1 is rejected']);
    const [request] = server.requests;
    expect(request).toMatchObject({ method: 'PATCH', body: { metadata: { annotations: { [COMMAND]: 'abort' } } } });
    expect(request!.query.get('fieldManager')).toBe('kubectl-sidestep');
  });

  test("a refusal is told in admission's words", async () => {
    server.intercept = () => ({
      status: 409,
      body: { reason: 'Conflict', message: 'nothing to retry: reviews has no rejected version' },
    });
    expect(await sidestep('retry', 'reviews')).toBe(1);
    expect(err).toEqual(['error: nothing to retry: reviews has no rejected version']);
  });

  test('an order that nobody took is an error', async () => {
    put({ run: RUN });
    expect(await sidestep('pause', 'reviews')).toBe(1);
    expect(err[0]).toContain('stored the command pause without effect');
  });
});

describe('status', () => {
  test('of all that are opted in, as a table', async () => {
    put({ run: RUN, status: STATUS });
    server.put(DEPLOYMENTS, {
      ...reviews({ status: { ...STATUS, phase: 'Succeeded', message: 'promoted after 5 steps' } }),
      metadata: {
        ...reviews({ status: { ...STATUS, phase: 'Succeeded', message: 'promoted after 5 steps' } }).metadata,
        name: 'details-api',
      },
    });
    expect(await sidestep('status')).toBe(0);
    expect(out).toEqual([
      'NAME         STATE   WEIGHT  DETAIL',
      'reviews      held    20%     run r1: Progressing, 20 % of the requests, step 2 of 5, 1 of 5 failed checks: request-success-rate 99.9 %',
      'details-api  stable  0%      last run r1: Succeeded, promoted after 5 steps',
    ]);
  });

  test('of all namespaces, and of none', async () => {
    expect(await sidestep('status', '-A')).toBe(0);
    expect(out).toEqual(['no Deployment is opted in here']);
    put({ run: REJECTED });
    expect(await sidestep('status', '-A')).toBe(0);
    expect(out.slice(1)).toEqual([
      'NAMESPACE  NAME     STATE     WEIGHT  DETAIL',
      'shop       reviews  rejected  0%      run r1 rolled back: bad',
    ]);
  });

  test('of one, which is not there', async () => {
    expect(await sidestep('status', 'reviews')).toBe(1);
    expect(err[0]).toContain('NotFound');
  });
});
