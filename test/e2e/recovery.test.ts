import { describe, expect, test } from 'vitest';
import { PODS } from '../../kube/resources.ts';
import type { Pod } from '../../kube/types.ts';
import { eventually, must, sleep } from './support/cluster.ts';
import { NAMESPACE } from './support/install.ts';
import { answersOf, failedAnswers, total } from './support/load.ts';
import { inScenario, QUICK, type Scenario, SLOW } from './support/scenario.ts';

// What goes wrong while a run is on, or is done to the workload then, and where it ends.

/** The canary has time to get ready beside other scenarios; the promotion, which never does, uses it up. */
const SOON_FAILED = { ...QUICK, progressDeadlineSeconds: 40, analysis: { ...QUICK.analysis, maxWeight: 10 } };

describe('recovery', () => {
  test('R7 the analyzer killed in each phase: the run converges and skips no check', () =>
    inScenario('r7', {}, async (s) => {
      const killed: string[] = [];
      await s.apply({ version: 'v2' });
      const id = (await s.run())!.id;
      const weights = new Set<number>();
      await eventually('promotion', 240_000, async () => {
        const status = await s.status();
        if (status?.run !== id) return undefined;
        weights.add(status.weight);
        const mark = status.phase === 'Progressing' ? `Progressing ${status.weight}` : status.phase;
        const wanted = ['Preparing', 'Progressing 20', 'Promoting', 'Finalising'];
        if (wanted.includes(mark) && !killed.includes(mark) && (await killAnalyzer(s, id))) killed.push(mark);
        return status.phase === 'Succeeded';
      });
      await s.nothingLeft();
      expect(killed).toEqual(expect.arrayContaining(['Preparing', 'Progressing 20', 'Promoting']));
      expect([...weights].sort((a, b) => a - b)).toEqual([0, 10, 20, 30, 40, 50]);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  test('R7 the analyzer killed while it rolls back: the version is rejected and nothing is left', () =>
    inScenario('r7b', {}, async (s) => {
      await s.apply({ version: 'v2', env: { ERROR_RATE: '1' } });
      const id = (await s.run())!.id;
      await s.reported('the rollback', 120_000, (r) => r.phase === 'RollingBack');
      await killAnalyzer(s, id);
      await s.ended('Failed');
      await s.nothingLeft();
      expect(await s.phase()).toBe('rejected');
    }));

  test('R13 a promotion that fails at full scale ends on the stable version with no failed request', () =>
    inScenario('r13', { replicas: 2, spec: SOON_FAILED }, async (s) => {
      await s.apply({
        version: 'v2',
        env: { NEVER_READY_IF_MORE_THAN_ONE: '1', PEERS_HOST: `reviews-peers-v2.${s.namespace}` },
      });
      const status = await s.ended('Failed', 180_000);
      await s.nothingLeft();
      expect(status.message).toContain('promotion failed');
      const sets = await s.replicaSets();
      const running = sets.filter((rs) => (rs.spec.replicas ?? 0) > 0);
      expect(running).toHaveLength(1);
      expect(running[0]!.spec.template.metadata?.labels?.['version']).toBe('v1');
      expect(running[0]!.status?.readyReplicas).toBe(2);
      expect(await s.phase()).toBe('rejected');
      const stats = await s.load.stats();
      expect(failedAnswers(stats)).toEqual({});
      await s.load.reset();
      await sleep(2000);
      const after = await s.load.stats();
      expect(answersOf(after, 'v1')).toBe(total(after));
    }));

  test('R16 scaled to 0 and back while held, after a rejection and with the next version held: the stable version runs', () =>
    inScenario('r16', { spec: SLOW, replicas: 1 }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(10);
      await downAndUp(s);
      await s.command('abort');
      await s.ended('Failed');
      await s.nothingLeft();
      await downAndUp(s);
      await s.apply({ version: 'v3' });
      expect(await s.phase()).toBe('held');
      await downAndUp(s);
    }));

  test('R16 scaled to 0 and back after a failed promotion: the stable version runs, never the rejected one', () =>
    inScenario('r16b', { replicas: 2, spec: SOON_FAILED }, async (s) => {
      await s.apply({
        version: 'v2',
        env: { NEVER_READY_IF_MORE_THAN_ONE: '1', PEERS_HOST: `reviews-peers-v2.${s.namespace}` },
      });
      await s.ended('Failed', 180_000);
      await s.nothingLeft();
      await downAndUp(s, 2);
      await s.apply({ version: 'v3', spec: SLOW });
      expect(await s.phase()).toBe('held');
      await downAndUp(s, 2);
    }));

  test('R17 nothing but retry, revert, another version or a promote releases a rejected version', () =>
    inScenario('r17', { spec: { ...QUICK, progressDeadlineSeconds: 8 } }, async (s) => {
      const rejected = { version: 'v2', env: { NEVER_READY: '1' } };
      await s.apply(rejected);
      await s.ended('Failed');
      await s.nothingLeft();
      expect((await s.apply(rejected)).stdout).toContain('unchanged');
      await s.apply({ ...rejected, replicas: 3 });
      await s.apply({ ...rejected, spec: { ...QUICK, progressDeadlineSeconds: 9 } });
      const labelled = await must('kubectl', ['-n', s.namespace, 'label', 'deployment/reviews', 'x=y']);
      expect(labelled.stderr).toMatch(/was rejected at .*stays held/);
      await must('kubectl', ['-n', s.namespace, 'patch', 'deployment', 'reviews', '-p', '{"spec":{"paused":false}}']);
      const undone = await s.kubectl(
        'patch',
        'deployment',
        'reviews',
        '--type=json',
        '-p',
        '[{"op":"remove","path":"/metadata/annotations/sidestep.dev~1run"}]',
      );
      expect(undone.code).toBe(0);
      await must('kubectl', ['-n', s.namespace, 'delete', 'pod', '-l', 'app=reviews,version=v1', '--wait=false']);
      await sleep(8000);
      const primary = await s.primary();
      expect(primary.spec.paused).toBe(true);
      expect(await s.phase()).toBe('rejected');
      const versions = new Set((await s.pods()).map((p) => p.metadata.labels?.['version']));
      expect([...versions]).toEqual(['v1']);
    }));
});

/** Ends the analyzer's container without a chance to say good-bye: what a lost node or the OOM killer does. */
async function killAnalyzer(s: Scenario, runId: string): Promise<boolean> {
  const { items } = await s.client.list<Pod>(
    PODS,
    { namespace: NAMESPACE },
    { query: { labelSelector: `sidestep.dev/run=${runId}` } },
  );
  const pod = items.find((p) => p.status?.phase === 'Running');
  if (!pod) return false;
  await must('kubectl', ['-n', NAMESPACE, 'delete', 'pod', pod.metadata.name, '--force', '--grace-period=0']);
  return true;
}

async function downAndUp(s: Scenario, replicas = 1): Promise<void> {
  await must('kubectl', ['-n', s.namespace, 'scale', 'deployment/reviews', '--replicas=0']);
  await eventually('no pods', 60_000, async () => (await s.pods()).length === 0);
  await must('kubectl', ['-n', s.namespace, 'scale', 'deployment/reviews', `--replicas=${replicas}`]);
  await eventually('pods again', 60_000, async () => ((await s.primary()).status?.readyReplicas ?? 0) === replicas);
  const versions = new Set((await s.pods()).map((p) => p.metadata.labels?.['version']));
  expect([...versions]).toEqual(['v1']);
}
