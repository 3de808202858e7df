import { expect, test } from 'vitest';
import { comparedQuery } from './names.ts';
import { sidesOf } from './sides.ts';

const NAMES = {
  namespace: 'shop',
  service: 'reviews',
  canaryService: 'reviews-canary',
  workload: 'reviews.v1',
  canaryWorkload: 'reviews.v1-canary',
};
const sample = (reporter: string, label: string, name: string) => ({ labels: { reporter, [label]: name }, value: 1 });
const callers = (name: string) => sample('source', 'destination_service_name', name);
const pods = (name: string) => sample('destination', 'destination_workload', name);

test('one query reads both sides, as callers and as pods count them', () => {
  expect(comparedQuery('errors', NAMES)).toBe(
    'istio_requests_total{reporter="source",destination_service_namespace="shop",destination_service_name=~"reviews|reviews-canary"} or ' +
      'istio_requests_total{reporter="destination",destination_workload_namespace="shop",destination_workload=~"reviews\\\\.v1|reviews\\\\.v1-canary"}',
  );
  expect(comparedQuery('latency', NAMES)).toMatch(/^istio_request_duration_milliseconds_bucket\{/);
});

test('callers are preferred once they count requests to the canary', () => {
  const all = [callers('reviews'), callers('reviews-canary'), pods('reviews.v1'), pods('reviews.v1-canary')];
  expect(sidesOf(all, NAMES)).toEqual({ counter: 'callers', canary: [all[1]], primary: [all[0]] });
  expect(sidesOf([all[0]!, all[2]!, all[3]!], NAMES)).toEqual({ counter: 'pods', canary: [all[3]], primary: [all[2]] });
});

test('before the canary has requests, whoever counts the primary counts', () => {
  expect(sidesOf([callers('reviews'), pods('reviews.v1')], NAMES).counter).toBe('callers');
  expect(sidesOf([pods('reviews.v1')], NAMES)).toMatchObject({ counter: 'pods', canary: [] });
  expect(sidesOf([], NAMES)).toEqual({ counter: 'pods', canary: [], primary: [] });
});

test('series of other Services are none of ours', () => {
  expect(sidesOf([callers('ratings'), callers('reviews-canary-2')], NAMES)).toMatchObject({ canary: [], primary: [] });
});
