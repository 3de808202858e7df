import { describe, expect, test } from 'vitest';
import { hashOf, RUN, reviews, STATUS } from './fixtures.ts';
import { look } from './verdict.ts';

describe('the first look', () => {
  test.each([
    ['nothing held', reviews(), 'no version is held: nothing to wait for'],
    ['not opted in', reviews({ optedIn: false }), 'not opted in to canary analysis: nothing to wait for'],
    [
      'paused by its owner',
      reviews({ paused: true }),
      'paused by its owner, no version is held by Sidestep: nothing to wait for',
    ],
    // The verdict on an earlier version says nothing about this one.
    [
      'an earlier success',
      reviews({ status: { ...STATUS, phase: 'Succeeded' } }),
      'no version is held: nothing to wait for',
    ],
    [
      'an earlier failure',
      reviews({ status: { ...STATUS, phase: 'Failed' } }),
      'no version is held: nothing to wait for',
    ],
  ])('%s', (_, deployment, line) => {
    expect(look(undefined, deployment)).toEqual({ end: 'nothing', line });
  });

  test('a rejected version is the verdict on what was applied', () => {
    const run = { ...RUN, phase: 'rejected' as const, message: 'P99 of 801 ms, maximum 500 ms' };
    expect(look(undefined, reviews({ run }))).toEqual({
      end: 'rejected',
      line: 'run r1 rolled back: P99 of 801 ms, maximum 500 ms',
    });
  });

  test('a rejection without a reason says so', () => {
    expect(look(undefined, reviews({ run: { ...RUN, phase: 'rejected' } })).line).toBe(
      'run r1 rolled back: no reason was recorded',
    );
  });
});

describe('on the way', () => {
  test.each([
    ['nothing reported yet', reviews({ run: RUN }), 'run r1: the analysis is starting'],
    // As when the version before was rejected and this one has just been applied.
    [
      'the report on the run before',
      reviews({ run: RUN, status: { ...STATUS, run: 'r0', phase: 'Failed' } }),
      'run r1: the analysis is starting',
    ],
    [
      'a step',
      reviews({ run: RUN, status: STATUS }),
      'run r1: Progressing, 20 % of the requests, step 2 of 5, 1 of 5 failed checks: request-success-rate 99.9 %',
    ],
    [
      'preparing',
      reviews({
        run: RUN,
        status: { ...STATUS, phase: 'Preparing', weight: 0, step: 0, steps: 0, threshold: 0, message: '' },
      }),
      'run r1: Preparing, 0 % of the requests',
    ],
    [
      'promoting',
      reviews({ run: { ...RUN, phase: 'promoting' }, status: { ...STATUS, phase: 'Promoting' } }),
      'run r1: promoting, the primary rolls to the new version',
    ],
  ])('%s', (_, deployment, line) => {
    expect(look(RUN, deployment)).toEqual({ line });
  });
});

describe('the end of the run that was followed', () => {
  test('promoted: admission recorded its version after the run began', () => {
    const promoted = [{ hash: RUN.hash, time: '2026-01-01T12:05:00Z' }];
    expect(look(RUN, reviews({ promoted }))).toEqual({ end: 'promoted', line: 'run r1 promoted' });
  });

  test('promoted, and the next version is held already', () => {
    const promoted = [{ hash: RUN.hash, time: '2026-01-01T12:05:00Z' }];
    const next = { ...RUN, id: 'r2', hash: hashOf('v3') };
    expect(look(RUN, reviews({ version: 'v3', run: next, promoted })).end).toBe('promoted');
  });

  test.each([
    [
      'reverted, though the same version was promoted some time before',
      reviews({ version: 'v1', promoted: [{ hash: RUN.hash, time: '2026-01-01T11:00:00Z' }] }),
      'the stable version was applied again',
    ],
    ['replaced', reviews({ version: 'v3', run: { ...RUN, id: 'r2', hash: hashOf('v3') } }), 'run r2 took its place'],
    ['retried by somebody', reviews({ run: { ...RUN, id: 'r2' } }), 'run r2 took its place'],
    ['opted out', reviews({ optedIn: false, paused: true }), 'the Deployment was opted out'],
    ['passed', reviews({ version: 'v3' }), 'another version rolls out'],
    ['released', reviews(), 'the version rolls out without analysis'],
  ])('cancelled: %s', (_, deployment, why) => {
    expect(look(RUN, deployment)).toEqual({ end: 'cancelled', line: `run r1 cancelled: ${why}` });
  });

  test('deleted', () => {
    expect(look(RUN, undefined)).toEqual({ end: 'cancelled', line: 'the Deployment was deleted' });
  });
});
