import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEPLOYMENTS, EVENTS, PODS, pathOf } from './resources.ts';

test.each([
  [pathOf(PODS), '/api/v1/pods'],
  [pathOf(DEPLOYMENTS), '/apis/apps/v1/deployments'],
  [pathOf(DEPLOYMENTS, { namespace: 'shop' }), '/apis/apps/v1/namespaces/shop/deployments'],
  [pathOf(EVENTS, { namespace: 'shop', name: 'e' }), '/api/v1/namespaces/shop/events/e'],
  [
    pathOf(DEPLOYMENTS, { namespace: 'shop', name: 'reviews', subresource: 'status' }),
    '/apis/apps/v1/namespaces/shop/deployments/reviews/status',
  ],
])('%s', (path, wanted) => expect(path).toBe(wanted));

test('a name stays one part of the path', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (name) => {
      const parts = pathOf(PODS, { namespace: 'shop', name }).split(/[/?#]/);
      expect(parts).toHaveLength(7);
      expect(decodeURIComponent(parts[6]!)).toBe(name);
    }),
  );
});
