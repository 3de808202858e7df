import { expect, test } from 'vitest';
import { formatSelector } from './selectors.ts';

test.each([
  [{}, ''],
  [{ matchLabels: { app: 'reviews', tier: '' } }, 'app=reviews,tier='],
  [
    {
      matchLabels: { app: 'x' },
      matchExpressions: [
        { key: 'a', operator: 'In' as const, values: ['1', '2'] },
        { key: 'b', operator: 'NotIn' as const, values: ['3'] },
        { key: 'c', operator: 'Exists' as const },
        { key: 'd', operator: 'DoesNotExist' as const },
      ],
    },
    'app=x,a in (1,2),b notin (3),c,!d',
  ],
])('%j', (selector, text) => {
  expect(formatSelector(selector)).toBe(text);
});
