import fc from 'fast-check';

// The same examples each time, so that a test that passed passes again; a longer search (FUZZ_RUNS) takes new ones and prints its seed.
if (process.env['FUZZ_RUNS'] === undefined) fc.configureGlobal({ seed: 20_261_123 });
