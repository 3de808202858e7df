import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** For the standard input; without it the input is empty. */
  readonly input?: string | AsyncIterable<Buffer>;
}

/** A command ended with another exit code than zero, or by a signal. */
export class CommandError extends Error {
  readonly output: string;

  constructor(command: string, reason: string, output: string) {
    super(`${command}: ${reason}${output ? `\n${lastLines(output, 20)}` : ''}`);
    this.name = 'CommandError';
    this.output = output;
  }
}

/** The last `count` lines of a text, without a trailing newline. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * Runs a command to its end.
 *
 * @returns its standard output
 * @throws CommandError with the end of both outputs if it fails or cannot be started
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: options.env, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    let stdout = '';
    let both = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      both += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      both += chunk;
    });
    child.stdin.on('error', () => {}); // the command need not read its input
    if (typeof options.input === 'object') Readable.from(options.input).on('error', reject).pipe(child.stdin);
    else child.stdin.end(options.input ?? '');
    const shown = [command, ...args.slice(0, 4)].join(' ');
    child.on('error', (error) => reject(new CommandError(shown, error.message, both)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new CommandError(shown, signal ? `ended by ${signal}` : `exit code ${code}`, both));
    });
  });
}

/**
 * Runs a command on the caller's terminal.
 *
 * @returns its exit code, 128 + 1 where a signal ended it, 127 where it could not be started
 */
export function runInteractive(command: string, args: readonly string[], options: RunOptions = {}): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: options.env, cwd: options.cwd, stdio: 'inherit' });
    // The terminal sends its signals to the command as well: it decides what they mean.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const forward = () => child.kill('SIGTERM');
    process.on('SIGTERM', forward);
    const done = (code: number) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', forward);
      resolve(code);
    };
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      done(127);
    });
    child.on('close', (code) => done(code ?? 129));
  });
}
