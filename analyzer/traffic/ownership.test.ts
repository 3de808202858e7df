import { expect, test } from 'vitest';
import { routeOwners, withoutUs } from './ownership.ts';
import type { VirtualService } from './types.ts';

const entry = (manager: string, operation: string, spec: object, more: object = {}) => ({
  manager,
  operation,
  apiVersion: 'networking.istio.io/v1',
  fieldsType: 'FieldsV1',
  fieldsV1: { ...more, 'f:spec': spec },
});
const vs = (...managedFields: object[]): VirtualService => ({ metadata: { name: 'x', managedFields }, spec: {} });

const FLUX = entry('flux', 'Apply', { 'f:hosts': {}, 'f:http': {} });
const KUBECTL = entry('kubectl', 'Update', { 'f:http': { '.': {} } });
const FLUX_LEFT = entry('flux', 'Apply', { 'f:hosts': {} });
const US = entry('sidestep', 'Update', { 'f:http': {} }, { 'f:metadata': { 'f:annotations': {} } });

test('the owners of routes get back what we took, others stay as they are', () => {
  const before = routeOwners(vs(FLUX, KUBECTL));
  const now = vs(FLUX_LEFT, US, entry('other', 'Update', { 'f:gateways': {} }));
  expect(withoutUs(now, before)).toEqual([FLUX, entry('other', 'Update', { 'f:gateways': {} }), KUBECTL]);
});

test('owners are remembered while the routes are ours, and learnt anew once somebody else has written them', () => {
  const before = routeOwners(vs(FLUX));
  expect(routeOwners(vs(FLUX_LEFT, US), before)).toEqual(before);
  expect(routeOwners(vs(FLUX_LEFT, KUBECTL, entry('sidestep', 'Update', {})), before)).toEqual(
    routeOwners(vs(KUBECTL)),
  );
});

test('nothing is given back that is not ours', () => {
  const edited = vs(FLUX_LEFT, KUBECTL, entry('sidestep', 'Update', {}));
  expect(withoutUs(edited, routeOwners(vs(FLUX)))).toEqual([FLUX_LEFT, KUBECTL]);
});
