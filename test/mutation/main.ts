import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { compare, type Equivalent, type Report } from './check.ts';

/** `npm run mutate`: Stryker, and then whether all that survived is known to change nothing. Arguments are passed on to Stryker. */
const ROOT = join(import.meta.dirname, '../..');
const STRYKER = join(ROOT, 'node_modules/@stryker-mutator/core/bin/stryker.js');

const args = [STRYKER, 'run', join(import.meta.dirname, 'stryker.config.json'), ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

const report = JSON.parse(readFileSync(join(ROOT, 'dist/mutation/report.json'), 'utf8')) as Report;
const equivalents = parse(readFileSync(join(import.meta.dirname, 'equivalent.yaml'), 'utf8')) as Equivalent[];
const { unknown, stale } = compare(report, equivalents);
for (const { file, at, code, becomes } of unknown)
  process.stdout.write(`no test notices: ${file}:${at}: ${code} → ${becomes}\n`);
for (const { file, line, code } of stale)
  process.stdout.write(`in equivalent.yaml, but noticed or gone: ${file}: ${code} in ${line}\n`);
process.stdout.write(`${unknown.length} unaccounted for, ${stale.length} out of date\n`);
process.exit(unknown.length + stale.length === 0 ? 0 : 1);
