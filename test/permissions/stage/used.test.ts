import { describe, expect, test } from 'vitest';
import { paths } from '../../cluster/index.ts';
import { NAMESPACE } from '../../e2e/support/install.ts';
import { render } from '../../integration/chart/helm.ts';
import { readAudit } from '../audit.ts';
import { grantsOf } from '../grants.ts';

// The last stage of `make test`, on the cluster that the whole e2e stage has used: what the chart grants is compared with what its
// accounts were seen to ask for. A grant that no test uses is one too many, or lacks a test; one that is refused is missing.

const grants = grantsOf(await render({}, NAMESPACE));
const asked = await readAudit(paths().auditLog, [...grants.keys()]);

describe.each([...grants])('%s', (account, granted) => {
  const { allowed, refused } = asked.get(account)!;

  test.each([...granted].sort())('%s: granted and used', (permission) => {
    expect(allowed.has(permission)).toBe(true);
  });

  test('is refused nothing', () => {
    expect([...refused]).toEqual([]);
  });

  test('has nothing from elsewhere', () => {
    expect([...allowed].filter((permission) => !granted.has(permission))).toEqual([]);
  });
});
