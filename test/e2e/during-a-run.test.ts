import { describe, expect, test } from 'vitest';
import { CANARY, ENABLED, SPEC_FROM } from '../../canary/annotations.ts';
import { DESTINATION_RULES } from '../../kube/resources.ts';
import { eventually, must, sleep, start } from './support/cluster.ts';
import { NAMESPACE } from './support/install.ts';
import { answersOf, failedAnswers, total } from './support/load.ts';
import { usersRule } from './support/objects.ts';
import { inScenario, SLOW } from './support/scenario.ts';

describe('while a run is on', () => {
  for (const how of ['apply', 'applyServerSide'] as const) {
    test(`R2 revert to v1 by ${how} cancels the run and leaves the primary alone`, () =>
      inScenario('r2', { spec: SLOW, how }, async (s) => {
        const before = (await s.pods()).map((p) => p.metadata.uid).sort();
        await s[how]({ version: 'v2' });
        await s.weight(10);
        const { stderr } = await s[how]({ version: 'v1' });
        expect(stderr).toContain('back to the stable version');
        await s.nothingLeft();
        const primary = await s.primary();
        expect(primary.spec.paused).toBeUndefined();
        expect(await s.run()).toBeUndefined();
        expect((await s.pods()).map((p) => p.metadata.uid).sort()).toEqual(before);
        await s.load.reset();
        await sleep(2000);
        const stats = await s.load.stats();
        expect(answersOf(stats, 'v1')).toBe(total(stats));
        expect(failedAnswers(stats)).toEqual({});
        await eventually(
          'no condition of ours',
          20_000,
          async () => !(await s.primary()).status?.conditions?.some((c) => c.type === 'Promoted'),
        );
      }));
  }

  test('R3 the same version applied fifty times, one that drops a field, is one run and one canary', () =>
    inScenario('r3', { spec: SLOW, env: { DRAIN_MS: '6000' } }, async (s) => {
      await s.apply({ version: 'v2' });
      const first = (await s.run())!;
      await s.weight(10);
      const canary = (await s.canary())!;
      for (let i = 0; i < 50; i++) await s.apply({ version: 'v2' });
      expect((await s.run())!.id).toBe(first.id);
      expect((await s.canary())!.metadata.uid).toBe(canary.metadata.uid);
      expect(
        (await s.jobs()).filter((j) => JSON.stringify(j.spec.template.spec.containers[0]).includes(first.id)),
      ).toHaveLength(1);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  test('R4 labels, annotations, replicas and an autoscaler leave the run alone', () =>
    inScenario('r4', { spec: SLOW }, async (s) => {
      await s.apply({ version: 'v2' });
      const first = (await s.run())!;
      await s.weight(10);
      await must('kubectl', ['-n', s.namespace, 'label', 'deployment/reviews', 'team=books']);
      await must('kubectl', ['-n', s.namespace, 'annotate', 'deployment/reviews', 'note=hello']);
      await must('kubectl', ['-n', s.namespace, 'scale', 'deployment/reviews', '--replicas=2']);
      await must('kubectl', ['-n', s.namespace, 'autoscale', 'deployment/reviews', '--min=2', '--max=3', '--cpu=80%']);
      await eventually('two stable pods', 60_000, async () => ((await s.primary()).status?.readyReplicas ?? 0) === 2);
      expect((await s.primary()).spec.paused).toBe(true);
      await s.weight(30);
      expect((await s.run())!.id).toBe(first.id);
      expect(failedAnswers(await s.load.stats())).toEqual({});
    }));

  test('R5 opt-out: routes restored, canary gone, v1 goes on serving', () =>
    inScenario('r5', { spec: SLOW }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(20);
      const { stderr } = await s.apply({ version: 'v2', spec: null });
      expect(stderr).toContain('canary analysis of reviews is off');
      await s.nothingLeft();
      await s.load.reset();
      await sleep(3000);
      const stats = await s.load.stats();
      expect(answersOf(stats, 'v1')).toBe(total(stats));
      expect(failedAnswers(stats)).toEqual({});
      expect((await s.primary()).metadata.labels ?? {}).not.toHaveProperty(['sidestep.dev/watched']);
    }));

  test('R6 the Deployment deleted: nothing is left', () =>
    inScenario('r6', { spec: SLOW }, async (s) => {
      await s.apply({ version: 'v2' });
      await s.weight(10);
      await must('kubectl', ['-n', s.namespace, 'delete', 'deployment', 'reviews']);
      await s.nothingLeft();
      expect(await s.canary()).toBeUndefined();
    }));

  test('an analysis in a ConfigMap; the attempt that follows a lost one takes over all that it had made', () =>
    inScenario('taken', { objects: usersRule, optIn: false }, async (s) => {
      await s.kubectlApply({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'careful', namespace: s.namespace },
        data: { 'canary.yaml': JSON.stringify(SLOW) },
      });
      const annotations = { [CANARY]: ENABLED, [SPEC_FROM]: 'careful' };
      await s.apply({ version: 'v1', annotations });
      await s.apply({ version: 'v2', annotations });
      await s.weight(20);
      const { metadata } = (await s.canary())!;
      const [job] = await s.jobs();
      const pod = ['-l', `batch.kubernetes.io/job-name=${job!.metadata.name}`];
      await must('kubectl', ['-n', NAMESPACE, 'delete', 'pods', ...pod, '--force', '--grace-period=0']);
      await s.reported('the second attempt at work', 60_000, (r) => r.attempt === 2 && r.phase === 'Progressing');
      expect((await s.canary())!.metadata.uid).toBe(metadata.uid);
      expect(await s.find(DESTINATION_RULES, 'mine-canary')).toBeDefined();
      const waiting = start('kubectl', [
        '-n',
        s.namespace,
        'rollout',
        'status',
        'deployment/reviews',
        '--timeout=200s',
      ]);
      await s.ended('Succeeded');
      await s.nothingLeft();
      expect((await waiting.done).code).toBe(0);
      expect(failedAnswers(await s.load.stats())).toEqual({});
      expect((await s.primary()).spec.template.metadata?.labels?.['version']).toBe('v2');
    }));
});
