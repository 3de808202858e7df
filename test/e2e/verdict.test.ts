import { expect, test } from 'vitest';
import { plugin } from './support/clients.ts';
import { start } from './support/cluster.ts';
import { KstatusClient } from './support/kstatus.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';

const SPEC = {
  ...QUICK,
  analysis: { ...QUICK.analysis, interval: '2s', maxWeight: 20 },
};

/** For the version that does not get ready. */
const DEADLINE_S = 12;

/** Everybody who can be asked to wait, asked at the same time. */
function everybodyWaits(s: Scenario, kstatus: KstatusClient, seconds: number) {
  const target = ['-n', s.namespace, 'deployment/reviews', `--timeout=${seconds}s`];
  return {
    rolloutStatus: start('kubectl', ['rollout', 'status', ...target]).done,
    condition: start('kubectl', ['wait', '--for=condition=Promoted', ...target]).done,
    plugin: start(...plugin('wait', ...target)).done,
    kstatus: kstatus.wait(() => s.primary(), seconds * 1000),
  };
}

test('A5 everybody who waits is told the verdict, and none before it', () =>
  inScenario('a5', { spec: SPEC }, async (s) => {
    const kstatus = new KstatusClient();
    try {
      await s.apply({ version: 'v2' });
      const good = everybodyWaits(s, kstatus, 120);
      expect(await good.rolloutStatus).toMatchObject({ code: 0 });
      expect(await good.kstatus).toMatchObject({ code: 0, status: 'Current' });
      expect(await good.plugin).toMatchObject({ code: 0, stdout: expect.stringMatching(/run \w+ promoted/) });
      expect(await good.condition).toMatchObject({ code: 0 });
      await s.ended('Succeeded');
      await s.nothingLeft();

      const pushedMs = Date.now();
      const spec = { ...SPEC, progressDeadlineSeconds: DEADLINE_S };
      await s.apply({ version: 'v3', env: { NEVER_READY: '1' }, spec });
      const bad = everybodyWaits(s, kstatus, 45);
      const rejected = `--for=jsonpath={.metadata.annotations.sidestep\\.dev/phase}=rejected`;
      expect(await s.kubectl('wait', rejected, 'deployment/reviews', '--timeout=45s')).toMatchObject({ code: 0 });
      const rolloutStatus = await bad.rolloutStatus;
      expect(rolloutStatus).toMatchObject({ code: 1, stderr: expect.stringContaining('progress deadline') });
      // Not before the canary had its time.
      expect(rolloutStatus.atMs - pushedMs).toBeGreaterThan(DEADLINE_S * 1000);
      expect(await bad.kstatus).toMatchObject({ code: 1, status: 'Failed' });
      expect(await bad.plugin).toMatchObject({ code: 1, stdout: expect.stringMatching(/rolled back: .*ready/) });
      expect(await bad.condition).toMatchObject({ code: 1, stderr: expect.stringContaining('timed out') });
    } finally {
      kstatus.end();
    }
  }));
