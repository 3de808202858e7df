import pc from 'picocolors';

/** Milliseconds between the signs of life of a long step. */
const HEARTBEAT = 15_000;

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

/** Says something that is not a step with a duration. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Runs one step and prints one line with its duration when it has ended; every 15 s a sign of life before that. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const heartbeat = setInterval(() => note(pc.dim(`  … ${name} (${seconds(start)})`)), HEARTBEAT);
  try {
    const result = await work();
    note(`${pc.green('✓')} ${name} ${pc.dim(seconds(start))}`);
    return result;
  } catch (error) {
    note(`${pc.red('✗')} ${name} ${pc.dim(seconds(start))}`);
    throw error;
  } finally {
    clearInterval(heartbeat);
  }
}
