import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { splitWorkloads } from './addons.ts';

const kinds = (manifest: string) =>
  parseAllDocuments(manifest).map((document) => (document.toJS() as { kind: string }).kind);

test('Deployments are parted from what can be there before them', () => {
  const { setup, workloads } = splitWorkloads(
    'kind: Namespace\n---\n# nothing but a comment\n---\nkind: Deployment\n---\nkind: Service\n---\nkind: DeploymentRule\n',
  );
  expect(kinds(setup)).toEqual(['Namespace', 'Service', 'DeploymentRule']);
  expect(kinds(workloads)).toEqual(['Deployment']);
});
