import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Deployment } from '../../kube/types.ts';
import { nextSizes } from './gentle.ts';
import { capacityDuringRollout, surgeDuringRollout } from './primary.ts';

const primary = (replicas: number, strategy?: Deployment['spec']['strategy']): Deployment => ({
  metadata: { name: 'reviews' },
  spec: { replicas, selector: {}, template: { spec: { containers: [] } }, ...(strategy ? { strategy } : {}) },
});
const rolling = (maxUnavailable: number | string, maxSurge: number | string) => ({
  type: 'RollingUpdate',
  rollingUpdate: { maxUnavailable, maxSurge },
});

interface Set {
  wanted: number;
  ready: number;
  /** Later ones are newer. */
  age: number;
}

/**
 * What the Deployment controller makes of a paused Deployment whose template has no ReplicaSet yet (`scale` in its sync.go): the only
 * active ReplicaSet gets the full size; of several, the largest gets or loses what the sum is short of, or over, replicas + maxSurge.
 */
function controller(d: Deployment, sets: Set[]): void {
  const active = sets.filter((s) => s.wanted > 0);
  const full = d.spec.replicas!;
  if (active.length === 1) resize(active[0]!, full);
  if (active.length < 2 || d.spec.strategy?.type === 'Recreate') return;
  const toAdd = full + surgeDuringRollout(d) - active.reduce((sum, s) => sum + s.wanted, 0);
  const newerFirst = (a: Set, b: Set) => b.wanted - a.wanted || b.age - a.age;
  const olderFirst = (a: Set, b: Set) => b.wanted - a.wanted || a.age - b.age;
  const [largest] = active.sort(toAdd > 0 ? newerFirst : olderFirst);
  resize(largest!, Math.max(0, largest!.wanted + toAdd));
}

/** A ReplicaSet deletes pods that are not ready first. */
function resize(set: Set, to: number): void {
  set.wanted = to;
  set.ready = Math.min(set.ready, to);
}

/** Steps until only the kept version is left; the fewest ready pods on the way, which is -1 where it never gets there. */
function settled(d: Deployment, keep: Set, others: Set[], starts: () => boolean): number {
  const sets = [keep, ...others];
  let fewest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 300; i++) {
    const active = others.filter((o) => o.wanted > 0);
    if (active.length === 0 && keep.ready === d.spec.replicas) return fewest;
    const next = nextSizes(d, keep, active);
    const look = () => {
      fewest = Math.min(
        fewest,
        sets.reduce((sum, s) => sum + s.ready, 0),
      );
    };
    // The controller may act between any two writes.
    resize(keep, next.keep);
    controller(d, sets);
    look();
    for (const [n, other] of active.entries()) {
      if (next.others[n]! < other.wanted) resize(other, next.others[n]!);
      controller(d, sets);
      look();
    }
    for (const s of sets) if (s.ready < s.wanted && starts()) s.ready++;
  }
  return -1;
}

const strategies: [string, Deployment['spec']['strategy'] | undefined][] = [
  ["Kubernetes' default", undefined],
  ['one more at a time', rolling(0, 1)],
  ['one fewer at a time', rolling(1, 0)],
  ['half of them', rolling('50%', '50%')],
  ['all may be unavailable', rolling('100%', 0)],
  ['neither', rolling(0, 0)],
  ['Recreate', { type: 'Recreate' }],
];

test.each(strategies)('a primary of two versions comes to one without an outage: %s', (_what, strategy) => {
  const arbitrary = fc
    .tuple(fc.integer({ min: 2, max: 20 }), fc.nat(), fc.nat(), fc.infiniteStream(fc.boolean()))
    .map(([replicas, kept, up, luck]) => {
      const d = primary(replicas, strategy);
      const all = strategy?.type === 'Recreate' ? replicas : replicas + surgeDuringRollout(d);
      const keep = kept % (Math.min(all, replicas) + 1);
      const other = keep === 0 ? replicas : all - keep;
      return { d, keep, other, ready: other === 0 ? 0 : up % (other + 1), luck };
    });
  fc.assert(
    fc.property(arbitrary, ({ d, keep, other, ready, luck }) => {
      const before = keep + ready;
      const starts = () => luck.next().value === true;
      const fewest = settled(d, { wanted: keep, ready: keep, age: 1 }, [{ wanted: other, ready, age: 2 }], starts);
      const floor = strategy?.type === 'Recreate' ? d.spec.replicas! : Math.max(1, capacityDuringRollout(d));
      expect(fewest).toBeGreaterThanOrEqual(Math.max(Math.min(1, before), Math.min(before, floor) - 1));
    }),
    { numRuns: 300 },
  );
});

test('the only pod, which may not have another beside it, is left alone', () => {
  const d = primary(1, rolling(1, 0));
  expect(nextSizes(d, { wanted: 0, ready: 0 }, [{ wanted: 1, ready: 1 }])).toEqual({ keep: 0, others: [1] });
});

test('pods that are not ready go at once, and the kept version is asked for where it has none', () => {
  expect(nextSizes(primary(3), { wanted: 0, ready: 0 }, [{ wanted: 3, ready: 0 }])).toEqual({ keep: 3, others: [0] });
  expect(nextSizes(primary(3), { wanted: 3, ready: 3 }, [{ wanted: 1, ready: 0 }])).toEqual({ keep: 3, others: [0] });
});

test('the kept version is brought up first where it has no pod that is ready', () => {
  expect(nextSizes(primary(3), { wanted: 0, ready: 0 }, [{ wanted: 3, ready: 3 }])).toEqual({ keep: 1, others: [3] });
  const recreated = primary(3, { type: 'Recreate' });
  expect(nextSizes(recreated, { wanted: 0, ready: 0 }, [{ wanted: 2, ready: 2 }])).toEqual({ keep: 3, others: [2] });
});
