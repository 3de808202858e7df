import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Run, RunPhase } from '../../canary/run.ts';
import { ANALYZER_PHASES, type AnalyzerPhase, isEndPhase } from '../../canary/status.ts';
import { attempt, deployment, run, SPEC, START_MS, UID } from './fixtures.ts';
import { deadlineSeconds, type PastAttempt } from './job.ts';
import { backoffMs, GIVE_UP_AFTER, MAX_ATTEMPTS, plan } from './plan.ts';

const DAY_MS = 86_400_000;

/** What is launched, waited for or given up; conditions have tests of their own. */
function launches(
  current: Run | undefined | 'gone',
  attempts: PastAttempt[],
  nowMs = START_MS + DAY_MS,
  reported: AnalyzerPhase = 'Progressing',
) {
  const subject =
    current === 'gone' ? { attempts } : { deployment: deployment(current, [], current?.id, reported), attempts };
  return plan(subject, nowMs).map((action) => {
    if (action.kind === 'launch')
      return `launch ${action.attempt.run}/${action.attempt.attempt}${action.attempt.rollbackOnly ? ' rollback' : ''}`;
    if (action.kind === 'wait') return `wait ${action.untilMs - nowMs}`;
    return action.kind === 'give-up' ? `give up ${action.attempt.run}` : action.kind;
  });
}

test.each<[RunPhase, string[]]>([
  ['held', ['launch r1/1']],
  ['promoting', ['launch r1/1']],
  ['rejected', ['launch r1/1']],
])('a run that is %s and has no attempt', (phase, expected) => {
  expect(launches(run('r1', phase), [])).toEqual(expected);
});

test('no run, no attempt: nothing', () => {
  expect(launches(undefined, [])).toEqual([]);
  expect(launches('gone', [])).toEqual([]);
});

test('the first attempt is told everything', () => {
  const [action] = plan({ deployment: deployment(run('r1'), [], 'r1'), attempts: [] }, START_MS);
  expect(action).toEqual({
    kind: 'launch',
    attempt: {
      uid: UID,
      namespace: 'shop',
      deployment: 'reviews',
      run: 'r1',
      attempt: 1,
      rollbackOnly: false,
      deadlineSeconds: deadlineSeconds({ spec: SPEC }),
    },
  });
});

test.each([
  ['of this run', 'r1', run('r1')],
  ['of another run', 'r0', run('r1')],
  ['of a run that is over', 'r0', undefined],
  ['of a Deployment that is gone', 'r0', 'gone' as const],
])('an attempt that is active, %s: wait for its end', (_, id, current) => {
  expect(launches(current, [attempt(id, 1, 'active'), attempt('older', 1, 'failed')])).toEqual([]);
});

test.each<[string, Run | undefined | 'gone']>([
  ['goes on', run('r1')],
  ['is promoting', run('r1', 'promoting')],
  ['was rejected before the clean-up was done', run('r1', 'rejected')],
  ['was reverted', undefined],
  ['was replaced', run('r2')],
  ['was opted out or deleted', 'gone'],
])('an attempt that died while its run %s: another attempt at that run', (_, current) => {
  expect(launches(current, [attempt('r1', 1, 'failed')])).toEqual(['launch r1/2']);
});

test('a clean-up keeps the names and the deadline of the attempt that died', () => {
  const [action] = plan({ attempts: [attempt('r1', 3, 'failed')] }, START_MS + DAY_MS);
  expect(action).toMatchObject({
    attempt: { namespace: 'shop', deployment: 'reviews', uid: UID, attempt: 4, deadlineSeconds: 1234 },
  });
});

test('a new run starts when what came before has ended cleanly', () => {
  expect(launches(run('r2'), [attempt('r1', 1, 'failed'), attempt('r1', 2, 'complete')])).toEqual(['launch r2/1']);
  expect(launches(run('r2'), [attempt('r1', 1, 'complete')])).toEqual(['launch r2/1']);
});

test('what others left is cleared up before this run goes on; the oldest first', () => {
  const dead = [
    attempt('r3', 1, 'failed', START_MS),
    attempt('r2', 1, 'failed', START_MS + 2),
    attempt('r1', 1, 'failed', START_MS + 1),
  ];
  expect(launches(run('r3'), dead)).toEqual(['launch r1/2']);
  expect(launches(run('r3'), [...dead, attempt('r1', 2, 'complete')])).toEqual(['launch r2/2']);
  expect(launches(run('r3'), [...dead, attempt('r1', 2, 'complete'), attempt('r2', 2, 'complete')])).toEqual([
    'launch r3/2',
  ]);
});

test('a run that is aborted before its analyzer was started gets one that settles the primary and says so', () => {
  // v3, pushed in the middle of v2's promotion: the primary has pods of both. v2's analyzer is still clearing up when v3 is aborted.
  const aborted = { ...run('r2', 'rejected'), interrupted: 'v1-x', message: 'aborted by jane' };
  const kinds = (state: PastAttempt['state'], reportedRun: string | undefined, phase: AnalyzerPhase) =>
    plan(
      { deployment: deployment(aborted, [], reportedRun, phase), attempts: [attempt('r1', 1, state)] },
      START_MS + DAY_MS,
    )
      .map(({ kind }) => kind)
      .filter((kind) => kind !== 'reset-conditions');
  expect(kinds('active', 'r1', 'Cancelling')).toEqual([]);
  expect(kinds('complete', undefined, 'Cancelled')).toEqual(['launch']);
  expect(kinds('complete', 'r1', 'Failed')).toEqual(['launch']);
  expect(kinds('complete', 'r2', 'Failed')).toEqual([]);
});

test('a rejection that was carried out needs no analyzer, also after its Jobs are deleted', () => {
  expect(launches(run('r1', 'rejected'), [], START_MS, 'Failed')).toEqual([]);
  expect(launches(run('r1', 'rejected'), [], START_MS, 'RollingBack')).toEqual(['launch r1/1']);
});

test('a clean end with a verdict: nothing more', () => {
  expect(launches(undefined, [attempt('r1', 1, 'complete')])).toEqual([]);
  expect(launches(run('r1', 'rejected'), [attempt('r1', 1, 'complete')], START_MS, 'Failed')).toEqual([]);
  expect(launches('gone', [attempt('r1', 1, 'failed'), attempt('r1', 2, 'complete')])).toEqual([]);
});

test.each<RunPhase>(['held', 'promoting', 'rejected'])(
  'a clean end although the run is still %s: another attempt, but not at once',
  (phase) => {
    const attempts = [attempt('r1', 1, 'complete')];
    expect(launches(run('r1', phase), attempts, START_MS)).toEqual(['wait 10000']);
    expect(launches(run('r1', phase), attempts, START_MS + 9999)).toEqual(['wait 1']);
    expect(launches(run('r1', phase), attempts, START_MS + 10_000)).toEqual(['launch r1/2']);
    expect(launches(run('r1', phase), [attempt('r1', 7, 'complete')], START_MS)).toEqual(['wait 60000']);
  },
);

test('back-off: from the failure, doubled each time, at most a minute', () => {
  expect([1, 2, 3, 6, 7, 29].map(backoffMs)).toEqual([1000, 2000, 4000, 32_000, 60_000, 60_000]);
  expect(launches(run('r1'), [attempt('r1', 3, 'failed')], START_MS + 1000)).toEqual(['wait 3000']);
  expect(launches(run('r1'), [attempt('r1', 3, 'failed')], START_MS + 4000)).toEqual(['launch r1/4']);
});

test('after too many attempts they only roll back, and at last there are no more', () => {
  expect(launches(run('r1'), [attempt('r1', MAX_ATTEMPTS - 1, 'failed')])).toEqual(['launch r1/5']);
  expect(launches(run('r1'), [attempt('r1', MAX_ATTEMPTS, 'failed')])).toEqual(['launch r1/6 rollback']);
  expect(launches(run('r1'), [attempt('r1', GIVE_UP_AFTER - 1, 'failed')])).toEqual(['launch r1/30 rollback']);
  expect(launches(run('r1'), [attempt('r1', GIVE_UP_AFTER, 'failed')])).toEqual(['give up r1']);
  expect(launches(run('r1'), [attempt('r1', GIVE_UP_AFTER, 'complete')])).toEqual(['give up r1']);
});

test('attempts that a pause outlasted have not died; any other end, and any other run, counts as before', () => {
  const paused: Run = { ...run('r1'), order: { command: 'pause', requester: 'jane', time: '' } };
  const expired = { ...attempt('r1', MAX_ATTEMPTS, 'failed'), expired: true as const };
  expect(launches(paused, [expired])).toEqual(['launch r1/6']);
  expect(launches(paused, [attempt('r1', MAX_ATTEMPTS, 'failed')])).toEqual(['launch r1/6 rollback']);
  expect(launches(run('r1'), [expired])).toEqual(['launch r1/6 rollback']);
  expect(launches({ ...paused, id: 'r2' }, [expired])).toEqual(['launch r1/6 rollback']);
});

test('a run that is given up does not keep the next one waiting for ever', () => {
  expect(launches(run('r2'), [attempt('r1', GIVE_UP_AFTER, 'failed')])).toEqual(['give up r1', 'launch r2/1']);
  expect(launches('gone', [attempt('r1', GIVE_UP_AFTER, 'failed')])).toEqual(['give up r1']);
});

test('whatever has happened: at most one launch, never beside an active one, always the next number of its run', () => {
  const ids = fc.constantFrom('r1', 'r2', 'r3');
  const states = fc.constantFrom<PastAttempt['state']>('active', 'complete', 'failed');
  const history = fc.array(
    fc.tuple(ids, fc.integer({ min: 1, max: 35 }), states, fc.integer({ min: 0, max: 100_000 })),
    { maxLength: 8 },
  );
  const current = fc.option(fc.tuple(ids, fc.constantFrom<RunPhase>('held', 'promoting', 'rejected')));
  const reports = fc.constantFrom(...ANALYZER_PHASES);
  fc.assert(
    fc.property(history, current, reports, fc.integer({ min: 0, max: 200_000 }), (past, now, reported, elapsedMs) => {
      const unique = new Map(past.map(([id, n, state, ms]) => [`${id}/${n}`, attempt(id, n, state, START_MS + ms)]));
      const attempts = [...unique.values()];
      const subject = {
        deployment: deployment(now ? run(now[0], now[1]) : undefined, [], now?.[0], reported),
        attempts,
      };
      const actions = plan(subject, START_MS + elapsedMs);
      expect(plan(subject, START_MS + elapsedMs)).toEqual(actions);
      const launched = actions.flatMap((a) => (a.kind === 'launch' ? [a.attempt] : []));
      const active = attempts.some(({ state }) => state === 'active');
      expect(launched.length).toBeLessThanOrEqual(active ? 0 : 1);
      for (const next of launched) {
        const newest = Math.max(0, ...attempts.filter((a) => a.run === next.run).map((a) => a.attempt));
        expect(next.attempt).toBe(newest + 1);
        expect(next.attempt).toBeLessThanOrEqual(GIVE_UP_AFTER);
        expect(next.rollbackOnly).toBe(next.attempt > MAX_ATTEMPTS);
      }
      const waits = actions.filter((a) => a.kind === 'wait');
      for (const { untilMs } of waits) expect(untilMs).toBeGreaterThan(START_MS + elapsedMs);
      const wanted =
        now &&
        (now[1] !== 'rejected' || !isEndPhase(reported)) &&
        attempts.every((a) => a.run !== now[0] || a.attempt < GIVE_UP_AFTER);
      if (wanted && !active) expect(launched.length + waits.length).toBe(1);
    }),
    { numRuns: 500 },
  );
});
