import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

test.each([
  ['90s', 90_000],
  ['1m30s', 90_000],
  ['500ms', 500],
  ['1h', 3_600_000],
  ['1h1m1s1ms', 3_661_001],
  ['1.5s', 1500],
  ['0s', 0],
  ['007s', 7000],
])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

test.each([
  '',
  '5',
  's',
  '-5s',
  '+5s',
  ' 5s',
  '5s ',
  '5 s',
  '5S',
  '1d',
  '5s1m',
  '5s5s',
  '.5s',
  '5.s',
  '1e3s',
  '1_000s',
  '٣s',
  'Infinitys',
  '9999999999h',
  '1s\n',
  '1h'.repeat(40),
  '__proto__',
  '1constructor',
])('%j is no duration', (text) => expect(parseDuration(text)).toBeUndefined());

test.each([
  [0, '0s'],
  [90_000, '1m30s'],
  [500, '500ms'],
  [86_400_000, '24h'],
  [3_600_001, '1h1ms'],
])('%d ms is written %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000_000 * 3600 }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }),
  );
});

test('any text is a whole number of milliseconds, at least 0, or nothing', () => {
  const likely = fc.stringMatching(/^([0-9]{0,4}\.?[0-9]{0,3}(ms|s|m|h|)){0,5}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), likely), (text) => {
      const ms = parseDuration(text);
      expect(ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)).toBe(true);
    }),
  );
});
