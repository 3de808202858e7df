import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Deployment } from '../../kube/types.ts';
import { compareStory } from './support/clients.ts';
import { eventually, sleep } from './support/cluster.ts';
import { inScenario, QUICK, type Scenario } from './support/scenario.ts';
import { STORIES } from './support/stories.ts';

describe('what clients meet', () => {
  for (const [name, steps] of Object.entries(STORIES)) test(name, () => compareStory(name, steps));
});

test('every golden file has its story', () => {
  const files = readdirSync(join(import.meta.dirname, '../golden/clients')).map((f) => f.replace(/\.yaml$/, ''));
  expect(files.sort()).toEqual(Object.keys(STORIES).sort());
});

const SHORT = {
  ...QUICK,
  analysis: {
    ...QUICK.analysis,
    interval: '2s',
    maxWeight: 20,
    metrics: QUICK.analysis.metrics.map((m) => ({ ...m, interval: '2s' })),
  },
};

/** The loops of GitOps controllers: the manifest of the repository once a second, whatever the cluster says. */
const LOOPS: Record<string, string[]> = {
  'client-side': ['apply'],
  'server-side': ['apply', '--server-side', '--field-manager=gitops'],
  'server-side with force': ['apply', '--server-side', '--field-manager=gitops', '--force-conflicts'],
};

/** By users: Sidestep's own account appears with the decision that the webhook has taken away. */
const ownedBy = (deployment: Deployment) =>
  JSON.stringify(
    (
      deployment.metadata.managedFields as {
        manager: string;
        operation: string;
        subresource?: string;
        fieldsV1: object;
      }[]
    )
      .filter(({ manager, subresource }) => subresource !== 'status' && manager !== 'sidestep')
      .map(({ manager, operation, fieldsV1 }) => [manager, operation, fieldsV1]),
  );

/** Sends the manifest until told to stop; every answer must be a good one. */
function loop(s: Scenario, version: string, args: readonly string[]) {
  let on = true;
  const done = (async () => {
    let times = 0;
    for (; on; times++) {
      const { code, stderr } = await s.kubectlSends(args, s.manifest({ version }));
      expect([code, /conflict/i.test(stderr)], stderr).toEqual([0, false]);
      await sleep(1000);
    }
    return times;
  })();
  return {
    stop: () => {
      on = false;
      return done;
    },
  };
}

describe('a GitOps loop during a whole run', () => {
  for (const [name, args] of Object.entries(LOOPS)) {
    test(name, () =>
      inScenario('gitops', { spec: SHORT, how: name === 'client-side' ? 'apply' : 'applyServerSide' }, async (s) => {
        const first = (await s.primary()).metadata.generation!;
        const gitops = loop(s, 'v2', args);
        const held = await eventually('the hold', 30_000, async () => {
          const primary = await s.primary();
          return primary.spec.paused ? primary : undefined;
        });
        expect(held.metadata.generation).toBe(first + 1);
        await s.ended('Succeeded');
        const promoted = await s.primary();
        await s.nothingLeft();
        await sleep(3000);
        expect(await gitops.stop()).toBeGreaterThan(10);
        const after = await s.primary();
        // The hold, the promotion and its record are one generation each; no apply of the loop is one.
        expect([promoted.metadata.generation, after.metadata.generation]).toEqual([first + 3, first + 3]);
        expect(await s.jobs()).toHaveLength(1);
        expect(ownedBy(after)).toBe(ownedBy(held));
        const next = await s.kubectlSends(args, s.manifest({ version: 'v3' }));
        expect(next.code, next.stderr).toBe(0);
        expect((await s.primary()).metadata.generation).toBe(first + 4);
        expect(await s.phase()).toBe('held');
      }),
    );
  }
});
