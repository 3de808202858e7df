import { expect, test } from 'vitest';
import {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isKubeError,
  isNotFound,
  isTransient,
  KubeError,
  messageOf,
} from './errors.ts';

const error = (status: number, reason = '') => new KubeError(status, reason, 'why');

test.each<[string, (e: unknown) => boolean, KubeError[], unknown[]]>([
  ['not found', isNotFound, [error(404)], [error(403)]],
  ['a conflict', isConflict, [error(409, 'Conflict')], [error(409, 'AlreadyExists'), error(404)]],
  ['already there', isAlreadyExists, [error(409, 'AlreadyExists')], [error(409, 'Conflict')]],
  ['forbidden', isForbidden, [error(403)], [error(401)]],
  ['transient', isTransient, [error(0), error(429), error(500), error(503)], [error(400), error(404), error(409)]],
])('%s', (_, is, yes, no) => {
  for (const e of yes) expect(is(e)).toBe(true);
  for (const e of [...no, new Error('x'), { status: yes[0]!.status }, undefined]) expect(is(e)).toBe(false);
});

test('an error of the API server has status, reason, cause and no object', () => {
  const cause = new Error('reset');
  const e = new KubeError(0, 'Unreachable', 'GET /api: reset', { cause });
  expect(e).toMatchObject({ name: 'KubeError', status: 0, reason: 'Unreachable', cause });
  expect(isKubeError(e)).toBe(true);
  expect(isKubeError(e, 0)).toBe(true);
  expect(isKubeError(e, 404)).toBe(false);
});

test.each([
  [new Error('reset'), 'reset'],
  ['text', 'text'],
  [undefined, 'undefined'],
  [null, 'null'],
])('%s has a message', (thrown, message) => expect(messageOf(thrown)).toBe(message));
