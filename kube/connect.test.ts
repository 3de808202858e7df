import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { connectTo } from './connect.ts';

let folder: string;
let kubeconfig: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sidestep-connect-'));
  kubeconfig = join(folder, 'config');
  const cluster = { name: 'here', cluster: { server: 'https://127.0.0.1:6443' } };
  const context = (name: string, namespace?: string) => ({
    name,
    context: { cluster: 'here', user: 'me', ...(namespace ? { namespace } : {}) },
  });
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [cluster],
    users: [{ name: 'me', user: { token: 't' } }],
    contexts: [context('plain'), context('shop', 'shop')],
    'current-context': 'plain',
  };
  writeFileSync(kubeconfig, stringify(config));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('commands without a namespace mean that of the context', async () => {
  expect((await connectTo({ kubeconfig })).namespace).toBe('default');
  expect((await connectTo({ kubeconfig, context: 'shop' })).namespace).toBe('shop');
});

test('a context that is not there is an error', async () => {
  await expect(connectTo({ kubeconfig, context: 'elsewhere' })).rejects.toThrow(
    'the kubeconfig has no context elsewhere',
  );
});
