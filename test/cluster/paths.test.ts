import { expect, test } from 'vitest';
import { cacheFolder, externalKubeconfig, instanceName, paths } from './paths.ts';

const env = { XDG_STATE_HOME: '/state', XDG_CACHE_HOME: '/cache' };

test('folders follow the XDG variables', () => {
  expect(paths('it', env).kubeconfig).toBe('/state/sidestep/it/pki/admin.kubeconfig');
  expect(cacheFolder(env)).toBe('/cache/sidestep');
});

test('two instances share no folder and no kernel object', () => {
  const [one, two] = [paths('sidestep', env), paths('it', env)];
  expect(one.label).toBe('sidestep');
  expect(two.label).toBe('sidestep-it');
  expect(new Set([one.state, two.state, one.netns, two.netns]).size).toBe(4);
});

test.each(['', 'UPPER', '../x', 'a/b', '-a', 'a-', '1a', 'a'.repeat(25)])('"%s" is no name for an instance', (name) => {
  expect(() => paths(name, env)).toThrow(/DNS label/);
});

test('the longest name still gives a socket path that the kernel takes', () => {
  expect(paths('a'.repeat(24), { XDG_STATE_HOME: '/root/.local/state' }).containerdSocket.length).toBeLessThan(100);
});

test('empty variables count as unset', () => {
  expect(instanceName({ SIDESTEP_CLUSTER: '' })).toBe('sidestep');
  expect(externalKubeconfig({ SIDESTEP_KUBECONFIG: '' })).toBeUndefined();
});
