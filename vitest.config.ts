import { defineConfig } from 'vitest/config';

// Unit tests stand beside their sources; what needs a cluster is under test/ and is started by `npm run cluster`.
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['{canary,kube,webhook,analyzer,certs,cli,test/cluster,test/fixtures}/**/*.test.ts', 'test/golden/**/*.test.ts'] } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000, fileParallelism: false } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 300_000 } },
    ],
  },
});
