import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canaryDeploymentName, canaryLabelValue, canaryServiceName, jobName, leaseName, runId } from './names.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DNS_LABEL = new RegExp(`^${LABEL}$`);
const DNS_SUBDOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

const label = fc.stringMatching(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
const subdomain = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('.'))
  .filter((name) => name.length <= 253);
const labelValue = fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);

test.each([
  ['reviews', 'reviews-canary'],
  ['shop.reviews', 'shop.reviews-canary'],
])('the canary of %s is %s', (primary, canary) => expect(canaryDeploymentName(primary)).toBe(canary));

test('a Deployment’s name leaves its pods their host names', () => {
  fc.assert(
    fc.property(subdomain, (name) => {
      const canary = canaryDeploymentName(name);
      expect(canary).toMatch(DNS_SUBDOMAIN);
      expect(canary.length).toBeLessThanOrEqual(47);
      expect(canary).toMatch(/-canary$/);
      expect(canary).not.toBe(name);
    }),
  );
});

test('a Service’s name is a DNS label', () => {
  fc.assert(
    fc.property(label, (name) => {
      const canary = canaryServiceName(name);
      expect(canary).toMatch(DNS_LABEL);
      expect(canary.length).toBeLessThanOrEqual(63);
    }),
  );
});

test('a label’s value is one, and never the primary’s', () => {
  expect(canaryLabelValue('')).toBe('canary');
  fc.assert(
    fc.property(labelValue, (value) => {
      const canary = canaryLabelValue(value);
      expect(canary).toMatch(LABEL_VALUE);
      expect(canary.length).toBeLessThanOrEqual(63);
      expect(canary).not.toBe(value);
    }),
  );
});

test('names that differ late stay apart, and each is always the same', () => {
  const prefix = 'a'.repeat(60);
  for (const name of [canaryDeploymentName, canaryServiceName, canaryLabelValue]) {
    expect(name(`${prefix}b`)).not.toBe(name(`${prefix}c`));
    expect(name(`${prefix}b`)).toBe(name(`${prefix}b`));
  }
  fc.assert(
    fc.property(subdomain, subdomain, (a, b) => {
      expect(canaryDeploymentName(a) === canaryDeploymentName(b)).toBe(a === b);
    }),
  );
});

test('a cut next to a dash or a dot leaves a valid name', () => {
  for (let at = 20; at < 50; at++) {
    const name = `${'a'.repeat(at)}--${'b'.repeat(40)}`;
    expect(canaryDeploymentName(name)).toMatch(DNS_SUBDOMAIN);
    expect(canaryDeploymentName(`${'a'.repeat(at)}.${'b'.repeat(40)}`)).toMatch(DNS_SUBDOMAIN);
    expect(canaryServiceName(name.slice(0, 63))).toMatch(DNS_LABEL);
  }
});

test('Jobs and Leases: one per attempt, one per workload', () => {
  const names = [
    jobName('u', 'r', 1),
    jobName('u', 'r', 2),
    jobName('u', 's', 1),
    jobName('v', 'r', 1),
    leaseName('u'),
  ];
  expect(new Set([...names, leaseName('v')]).size).toBe(6);
  for (const name of names) {
    expect(name).toMatch(DNS_LABEL);
    // Its pods have names too: NAME-xxxxx.
    expect(name.length).toBeLessThanOrEqual(57);
  }
});

test('a run’s id follows from what it is about', () => {
  const id = runId('u', 3, 'v1-a', '');
  expect(id).toMatch(/^[0-9a-f]{10}$/);
  expect(runId('u', 3, 'v1-a', '')).toBe(id);
  const others = [
    runId('w', 3, 'v1-a', ''),
    runId('u', 4, 'v1-a', ''),
    runId('u', 3, 'v1-b', ''),
    runId('u', 3, 'v1-a', id),
  ];
  expect(new Set([id, ...others]).size).toBe(5);
});
