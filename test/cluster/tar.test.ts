import { expect, test } from 'vitest';
import { tarHeader, tarPadding } from './tar.ts';

const file = (path: string) => tarHeader({ path, mode: 0o644, size: 5, type: 'file' });

test('the checksum is the sum of the header with blanks in its place', () => {
  const header = file('a');
  const stored = Number.parseInt(header.toString('latin1', 148, 154), 8);
  const blanked = Buffer.from(header).fill(' ', 148, 156);
  expect(stored).toBe(blanked.reduce((total, byte) => total + byte, 0));
});

test('a long path is split at a slash', () => {
  const header = file(`${'d'.repeat(120)}/${'f'.repeat(90)}`);
  expect(header.toString('latin1', 0, 90)).toBe('f'.repeat(90));
  expect(header.toString('latin1', 345, 345 + 120)).toBe('d'.repeat(120));
});

test.each(['f'.repeat(101), `${'d'.repeat(156)}/f`])('a path that does not fit is refused', (path) => {
  expect(() => file(path)).toThrow(/too long/);
});

test.each([
  [0, 0],
  [1, 511],
  [512, 0],
  [513, 511],
])('%i bytes are followed by %i', (size, padding) => {
  expect(tarPadding(size)).toHaveLength(padding);
});
