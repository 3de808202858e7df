import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Asked, note, readAudit } from './audit.ts';
import { grantsOf } from './grants.ts';

const USER = 'system:serviceaccount:own:worker';

const line = (change: object = {}): string =>
  JSON.stringify({
    verb: 'patch',
    user: { username: USER },
    objectRef: { apiGroup: 'apps', resource: 'deployments', subresource: 'status', namespace: 'shop', name: 'reviews' },
    annotations: { 'authorization.k8s.io/decision': 'allow' },
    ...change,
  });

function asked(...lines: string[]): Asked {
  const all = new Map([[USER, { allowed: new Set<string>(), refused: new Map<string, string>() }]]);
  for (const text of lines) note(all, text);
  return all.get(USER)!;
}

test('a request is told by verb, resource, subresource and group', () => {
  const core = { objectRef: { resource: 'pods', namespace: 'shop' }, verb: 'list' };
  expect([...asked(line(), line(core)).allowed]).toEqual(['patch deployments/status.apps', 'list pods']);
});

test('what the authorizer forbids is refused, and named by an example', () => {
  const { allowed, refused } = asked(line({ annotations: { 'authorization.k8s.io/decision': 'forbid' } }));
  expect([...allowed]).toEqual([]);
  expect([...refused]).toEqual([['patch deployments/status.apps', 'shop/reviews']]);
});

test.each([
  ['of another account', { user: { username: 'system:serviceaccount:own:other' } }],
  ['of a person', { user: { username: 'admin' } }],
  ['of somebody who impersonates the account', { user: { username: 'admin' }, impersonatedUser: { username: USER } }],
  ['of a test that has stolen the token', { userAgent: 'kubectl/v1.36.0' }],
  ['for no resource', { objectRef: undefined }],
])('no request %s counts', (_what, change) => {
  const { allowed, refused } = asked(line(change));
  expect([allowed.size, refused.size]).toEqual([0, 0]);
});

test('the parts of a log that was rotated are read together', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  try {
    writeFileSync(join(folder, 'audit.log'), `${line()}\n`);
    writeFileSync(join(folder, 'audit-2026-01-01T00-00-00.000.log'), `${line({ verb: 'get' })}\n`);
    writeFileSync(join(folder, 'kubelet.log'), 'no JSON');
    const all = await readAudit(join(folder, 'audit.log'), [USER]);
    expect([...all.get(USER)!.allowed].sort()).toEqual([
      'get deployments/status.apps',
      'patch deployments/status.apps',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const binding = (kind: string, role: string, namespace?: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind,
  metadata: { name: role, ...(namespace ? { namespace } : {}) },
  roleRef: { kind: kind.replace('Binding', ''), name: role },
  subjects: [{ kind: 'ServiceAccount', name: 'worker', namespace: 'own' }],
});
const role = (kind: string, name: string, rules: object[], namespace?: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind,
  metadata: { name, ...(namespace ? { namespace } : {}) },
  rules,
});

test('grants of several roles are put together by account', () => {
  const pods = [{ apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] }];
  const jobs = [{ apiGroups: ['batch'], resources: ['jobs'], verbs: ['create'] }];
  const grants = grantsOf([
    role('ClusterRole', 'a', pods),
    binding('ClusterRoleBinding', 'a'),
    role('Role', 'b', jobs, 'own'),
    binding('RoleBinding', 'b', 'own'),
  ]);
  expect([...grants.get(USER)!].sort()).toEqual([
    'create jobs.batch',
    'get pods',
    'get pods/log',
    'list pods',
    'list pods/log',
  ]);
});

test('a binding to a role that the chart does not have is a mistake', () => {
  expect(() => grantsOf([binding('ClusterRoleBinding', 'cluster-admin')])).toThrow('names no Role of the chart');
});
