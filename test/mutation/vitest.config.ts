import { defineConfig } from 'vitest/config';

// The unit tests that Stryker runs for each mutant: those of the table of admission and of the spec, and no others, so that it ends in minutes.
export default defineConfig({
  test: {
    name: 'mutation',
    setupFiles: ['test/mutation/fast-check.ts'],
    include: ['canary/spec*.test.ts', 'webhook/admission/**/*.test.ts', 'test/golden/*.test.ts'],
    testTimeout: 60_000,
    // Each mutant has a worker of its own; its test files may share it.
    isolate: false,
  },
});
