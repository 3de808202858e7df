import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { enterGroup, groupExists, groupMembers, groupsBelow, podsGroup } from './cgroup.ts';
import { paths } from './paths.ts';

// Plain folders stand for the hierarchies: the kernel's own files are written here as they are there.
const instance = paths('unit', { XDG_STATE_HOME: '/state' });
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cgroup-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (path: string, content = '') => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), content);
};
const read = (path: string) => readFileSync(join(root, path), 'utf8');

test('version 1: groups in every hierarchy, membership in pids, CPUs and memory nodes as in the root', () => {
  for (const controller of ['pids', 'memory', 'cpuset']) put(`${controller}/cgroup.procs`);
  put('cpuset/cpuset.cpus', '0-1');
  put('cpuset/cpuset.mems', '0');
  mkdirSync(join(root, 'no-hierarchy'));
  enterGroup(instance, root);
  expect(read('pids/sidestep-unit/daemons/cgroup.procs')).toBe(String(process.pid));
  expect(read('cpuset/sidestep-unit/pods/cpuset.cpus')).toBe('0-1');
  expect(existsSync(join(root, 'memory', podsGroup(instance)))).toBe(true);
  expect(existsSync(join(root, 'no-hierarchy', instance.label))).toBe(false);
});

test('version 1 without the hierarchy that records the processes is an error', () => {
  put('memory/cgroup.procs');
  expect(() => enterGroup(instance, root)).toThrow(/pids is not mounted/);
});

test('members are collected from the group and all groups below it', () => {
  put('pids/cgroup.procs', '1\n');
  put('pids/sidestep-unit/daemons/cgroup.procs', '10\n11\n');
  put('pids/sidestep-unit/pods/burstable/pod1/cgroup.procs', '12\n');
  put('pids/sidestep/daemons/cgroup.procs', '99\n');
  expect(groupMembers(instance, root).sort()).toEqual([10, 11, 12]);
  expect(groupExists(instance, root)).toBe(true);
});

test('groups come children first, the order in which they can be removed', () => {
  mkdirSync(join(root, 'a/b/c'), { recursive: true });
  expect(groupsBelow(join(root, 'a'))).toEqual([join(root, 'a/b/c'), join(root, 'a/b'), join(root, 'a')]);
  expect(groupsBelow(join(root, 'none'))).toEqual([]);
});
