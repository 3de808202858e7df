import { expect, test } from 'vitest';
import { namesService, wildcardTakesIn, withName } from './hosts.ts';

const SERVICE = { name: 'reviews', namespace: 'shop' };

test.each([
  ['reviews', 'shop', true],
  ['reviews', 'other', false],
  ['reviews.shop', 'other', true],
  ['reviews.shop.svc', 'other', true],
  ['reviews.shop.svc.cluster.local', 'other', true],
  ['reviews.shop.svc.corp.example', 'other', true],
  ['reviews.other.svc', 'shop', false],
  ['reviews-v2', 'shop', false],
  ['reviews.shop.example.com', 'shop', false],
  ['*.shop.svc.cluster.local', 'shop', false],
  ['', 'shop', false],
])('host %s in namespace %s names the Service: %s', (host, namespace, expected) => {
  expect(namesService(host, namespace, SERVICE)).toBe(expected);
});

test.each([
  ['*.shop.svc.cluster.local', true],
  ['*.shop.svc.corp.example', true],
  ['*.svc.cluster.local', true],
  ['*.local', true],
  ['*.other.svc.cluster.local', false],
  ['*.example.com', false],
  ['reviews.shop.svc.cluster.local', false],
])('wildcard %s takes in the Service: %s', (host, expected) => {
  expect(wildcardTakesIn(host, SERVICE)).toBe(expected);
});

test('the canary takes the form of the host that it stands beside', () => {
  expect(withName('reviews', 'reviews-canary')).toBe('reviews-canary');
  expect(withName('reviews.shop.svc.cluster.local', 'reviews-canary')).toBe('reviews-canary.shop.svc.cluster.local');
});
