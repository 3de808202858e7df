import { PROMOTED } from '../../../canary/annotations.ts';
import { type Promoted, promotedOf } from '../../../canary/promoted.ts';
import type { Run } from '../../../canary/run.ts';
import { MAX_ROLLBACK_REVISIONS } from '../../../canary/spec.ts';
import type { Facts } from '../facts.ts';
import { stableHash } from '../stable.ts';
import { timeOf } from './row.ts';

/** The one that serves, and those before it that a spec may ask for. */
const MAX_PROMOTED = MAX_ROLLBACK_REVISIONS + 1;

/** Only updates ask: a first deployment has promoted nothing. */
const stored = ({ old }: Facts): Promoted[] => promotedOf(old!);

/** The record with the run's version in front. */
export function withPromoted(run: Run, facts: Facts): Record<string, string> {
  const others = stored(facts).filter(({ hash }) => hash !== run.hash);
  const entry: Promoted = { hash: run.hash, time: timeOf(facts.input.now) };
  return { [PROMOTED]: JSON.stringify([entry, ...others].slice(0, MAX_PROMOTED)) };
}

/** The record without the run's version, which was rejected this time. */
export function withoutPromoted(run: Run, facts: Facts): Record<string, string | null> {
  const others = stored(facts).filter(({ hash }) => hash !== run.hash);
  return { [PROMOTED]: others.length > 0 ? JSON.stringify(others) : null };
}

/** The entry of the request's version if it is among so many promoted ones before the one that serves. */
export async function promotedWithin(revisions: number, facts: Facts): Promise<Promoted | undefined> {
  const all = stored(facts);
  if (revisions === 0 || !all.some(({ hash }) => hash === facts.hash)) return undefined;
  const serving = await stableHash(facts);
  return all
    .filter(({ hash }) => hash !== serving)
    .slice(0, revisions)
    .find(({ hash }) => hash === facts.hash);
}
