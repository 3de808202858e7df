import { describe, expect, test } from 'vitest';
import { conditionOf } from '../../../canary/conditions.ts';
import { eventually, must, restartComponent, sleep } from '../support/cluster.ts';
import { PROMETHEUS_URL } from '../support/install.ts';
import { failedAnswers } from '../support/load.ts';
import { inScenario, inScenarios, QUICK } from '../support/scenario.ts';

// What all scenarios of a cluster share goes away here. Files of this project run one after the other, and so do the tests of this one.

/** Long enough at each weight that something can happen meanwhile. */
const SLOW = { ...QUICK, analysis: { ...QUICK.analysis, interval: '5s' } };
const IMPATIENT = { ...SLOW, analysis: { ...SLOW.analysis, holdTimeout: '12s' } };

describe('while a run is on, with parts of the cluster away', () => {
  test('R9 Prometheus down for a while: the run holds, then goes on, or rolls back by its limit', () =>
    inScenarios(
      { r9: { spec: SLOW }, 'r9-limit': { spec: IMPATIENT } },
      async ({ r9: patient, 'r9-limit': impatient }) => {
        for (const s of [patient, impatient]) await s.apply({ version: 'v2' });
        for (const s of [patient, impatient]) await s.weight(10);
        await scalePrometheus(0);
        try {
          const ended = await impatient.ended('Failed', 90_000);
          expect(ended.message).toMatch(/no evidence within holdTimeout 12s: .*Prometheus/i);
          await impatient.nothingLeft();
          const { weight } = (await patient.status())!;
          expect(conditionOf(await patient.primary(), 'Promoted')).toMatchObject({
            status: 'Unknown',
            reason: 'MetricsUnavailable',
          });
          await sleep(10_000);
          expect(await patient.status()).toMatchObject({ phase: 'Progressing', weight, failedChecks: 0 });
        } finally {
          await scalePrometheus(1);
        }
        await patient.ended('Succeeded', 240_000);
        await patient.nothingLeft();
        for (const s of [patient, impatient]) expect(failedAnswers(await s.load.stats())).toEqual({});
      },
    ));

  // Only the embedded cluster can be told to; another one's API server is not ours to end.
  test.skipIf(process.env['SIDESTEP_KUBECONFIG'])('R10 API server restarted: the run goes on where it was', () =>
    inScenario('r10', { spec: SLOW }, async (s) => {
      await s.apply({ version: 'v2' });
      const { id } = (await s.run())!;
      await s.weight(20);
      await restartComponent('kube-apiserver');
      await eventually('an API server', 60_000, () => s.primary());
      const status = await s.ended('Succeeded', 240_000);
      expect(status).toMatchObject({ run: id, failedChecks: 0 });
      await s.nothingLeft();
      expect(failedAnswers(await s.load.stats())).toEqual({});
      // Admission works as before.
      expect((await s.apply({ version: 'v3' })).stderr).toContain('canary of reviews started');
    }),
  );
});

async function scalePrometheus(replicas: number): Promise<void> {
  const [name, namespace] = new URL(PROMETHEUS_URL).hostname.split('.');
  const kubectl = (...args: string[]) => must('kubectl', ['-n', namespace!, ...args]);
  await kubectl('scale', `deployment/${name}`, `--replicas=${replicas}`);
  await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=120s');
}
