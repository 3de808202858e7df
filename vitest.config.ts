import { defineConfig } from 'vitest/config';
import LongestFirst from './test/e2e/sequencer.ts';

/** Cluster scenarios mostly wait; so many files, one scenario each, share two cores without starving each other's probes. */
const E2E_AT_ONCE = 4;

// Unit tests stand beside their sources; what needs a cluster is under test/ and runs inside `npm run cluster -- exec`.
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // A failure tells what was seen, whole, in its one line at the end of a run too.
    chaiConfig: { truncateThreshold: 0 },
    // Measured by `npm run coverage`, from their own tests alone; below the thresholds it fails.
    coverage: {
      provider: 'v8',
      include: ['{canary,webhook/admission}/**/*.ts'],
      exclude: ['**/*.test.ts'],
      thresholds: { lines: 95, branches: 95 },
      reporter: [['text', { skipFull: true }], 'html', 'json-summary'],
      reportsDirectory: 'dist/coverage',
    },
    projects: [
      {
        test: {
          name: 'unit',
          // Some try every write of a run, or thousands of cases: on a machine that is busy otherwise that takes its time.
          testTimeout: 60_000,
          setupFiles: ['test/fast-check.ts'],
          include: [
            '{canary,kube,webhook,analyzer,certs,cli,sbom}/**/*.test.ts',
            'test/{cluster,fixtures,golden,demo,bench,hostile,mutation}/**/*.test.ts',
            'test/permissions/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          maxWorkers: E2E_AT_ONCE,
        },
      },
      // What takes away or changes that which all scenarios share, and what is measured at 100 requests/s: one test at a time.
      {
        test: {
          name: 'e2e-alone',
          include: ['test/e2e/alone/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      // After a whole e2e run, on the same cluster.
      {
        test: { name: 'permissions', include: ['test/permissions/stage/*.test.ts'] },
      },
    ],
  },
});
