import fc from 'fast-check';

// Few examples, and the same for each mutant: what only a long search finds has no test of its own yet.
process.env['FUZZ_RUNS'] = '50';
fc.configureGlobal({ seed: 20_261_123, numRuns: 20 });
