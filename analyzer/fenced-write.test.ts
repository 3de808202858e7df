import { expect, test } from 'vitest';
import { FENCE } from '../canary/annotations.ts';
import { KubeError } from '../kube/errors.ts';
import { CONFIG_MAPS } from '../kube/resources.ts';
import { FakeCluster } from '../kube/testing/fake-cluster.ts';
import type { ConfigMap } from '../kube/types.ts';
import { FencedOut } from './fence.ts';
import { fencedCreate, fencedDelete, fencedUpdate, stamp, type WriteDeps } from './fenced-write.ts';

const REF = { namespace: 'shop', name: 'x' };
const OBJECT = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...REF }, data: { n: '0' } };

function setUp(...objects: object[]) {
  const cluster = new FakeCluster(objects);
  const order: string[] = [];
  const deps: WriteDeps = {
    client: cluster.client,
    signal: new AbortController().signal,
    fence: {
      token: 2,
      check: async () => void order.push('check'),
      guard: ({ metadata }) => {
        if (Number(metadata.annotations?.[FENCE] ?? 0) > 2) throw new FencedOut('another');
      },
      renew: async () => {},
      release: async () => {},
    },
  };
  cluster.before = (method) => void order.push(method);
  const find = () => cluster.find<ConfigMap>(CONFIG_MAPS, 'shop', 'x');
  return { cluster, deps, order, find };
}

const write = (deps: WriteDeps, value: string) =>
  fencedUpdate<ConfigMap>(deps, CONFIG_MAPS, REF, (o) => {
    o.data = { ...o.data, n: value };
    stamp(o, deps.fence);
    return true;
  });

test('an update reads first, then asks for the Lease, then writes what it read', async () => {
  const { deps, order, find } = setUp(OBJECT);
  await write(deps, '1');
  expect(order).toEqual(['GET', 'check', 'PUT']);
  expect(find()).toMatchObject({ data: { n: '1' }, metadata: { annotations: { [FENCE]: '2' } } });
});

test('after a conflict the object is read again and the Lease asked for again', async () => {
  const { cluster, deps, order, find } = setUp(OBJECT);
  let others = 2;
  cluster.before = (method) => {
    order.push(method);
    if (method === 'PUT' && others-- > 0)
      cluster.edit(CONFIG_MAPS, 'shop', 'x', (o) => Object.assign(o, { data: { theirs: String(others) } }));
  };
  await write(deps, '1');
  expect(order).toEqual(['GET', 'check', 'PUT', 'GET', 'check', 'PUT', 'GET', 'check', 'PUT']);
  expect(find()?.data).toEqual({ theirs: '0', n: '1' });
});

test('a writer that never gets through gives up with the conflict', async () => {
  const { cluster, deps } = setUp(OBJECT);
  cluster.before = (method) => {
    if (method === 'PUT') throw new KubeError(409, 'Conflict', 'changed');
  };
  await expect(write(deps, '1')).rejects.toMatchObject({ reason: 'Conflict' });
});

test('an object with a later token is not written, changed or deleted', async () => {
  const { deps, order } = setUp({ ...OBJECT, metadata: { ...REF, annotations: { [FENCE]: '3' } } });
  await expect(write(deps, '1')).rejects.toThrow(FencedOut);
  const object = await deps.client.get<ConfigMap>(CONFIG_MAPS, REF);
  await expect(fencedDelete(deps, CONFIG_MAPS, object)).rejects.toThrow(FencedOut);
  expect(order).toEqual(['GET', 'GET']);
});

test('nothing to write means no write, and nothing to find means undefined', async () => {
  const { deps, order } = setUp(OBJECT);
  expect(await fencedUpdate(deps, CONFIG_MAPS, REF, () => false)).toMatchObject({ data: { n: '0' } });
  expect(await fencedUpdate(deps, CONFIG_MAPS, { ...REF, name: 'y' }, () => true)).toBeUndefined();
  expect(order).toEqual(['GET', 'GET']);
});

test('an object that goes between reading and writing is not brought back', async () => {
  const { cluster, deps, find } = setUp(OBJECT);
  let gone = false;
  cluster.before = (method) => {
    if (method === 'PUT' && !gone) {
      gone = true;
      void cluster.client.delete(CONFIG_MAPS, REF);
    }
  };
  expect(await write(deps, '1')).toBeUndefined();
  expect(find()).toBeUndefined();
});

test('creating stamps the object, and returns the one that is there already', async () => {
  const { deps, find } = setUp();
  expect(await fencedCreate(deps, CONFIG_MAPS, structuredClone(OBJECT))).toMatchObject({ created: true });
  expect(find()!.metadata.annotations).toEqual({ [FENCE]: '2' });
  const again = await fencedCreate(deps, CONFIG_MAPS, { ...structuredClone(OBJECT), data: { n: '9' } });
  expect(again).toMatchObject({ created: false, object: { data: { n: '0' } } });
});

test('a deletion is of the object that was read: changed, it is asked about again; replaced, it is left alone', async () => {
  const { cluster, deps, find } = setUp(OBJECT);
  const read = find()!;
  cluster.edit(CONFIG_MAPS, 'shop', 'x', (o) => Object.assign(o, { data: { n: '5' } }));
  await fencedDelete(deps, CONFIG_MAPS, read, (current) => (current as ConfigMap).data?.['n'] !== '5');
  expect(find()?.data).toEqual({ n: '5' });
  await fencedDelete(deps, CONFIG_MAPS, { ...read, metadata: { ...read.metadata, uid: 'another' } });
  expect(find()).toBeDefined();
  await fencedDelete(deps, CONFIG_MAPS, read);
  expect(find()).toBeUndefined();
  await fencedDelete(deps, CONFIG_MAPS, read);
});
