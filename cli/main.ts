import { connectTo } from '../kube/connect.ts';
import { runProgram } from './program.ts';

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());

process.exitCode = await runProgram(process.argv.slice(2), {
  connect: (options) => connectTo(options),
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
  signal: stop.signal,
});
// Watches and keep-alive sockets would keep the process.
process.exit();
