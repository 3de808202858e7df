import pc from 'picocolors';

/** What the audience reads. */
export const say = (text = ''): void => void process.stdout.write(`${text}\n`);
export const title = (text: string): void =>
  say(`\n${pc.bold(pc.cyan(`━━ ${text} `))}${pc.cyan('━'.repeat(Math.max(3, 76 - text.length)))}`);
export const note = (text: string): void => say(pc.dim(text));
/** A command as a user types it. */
export const typed = (command: string): void => say(`${pc.green('$')} ${pc.bold(command)}`);
export const warning = (text: string): void => say(pc.yellow(text));

/** A bar of the canary's share: 20 characters for 100 %. */
export function bar(percent: number): string {
  const full = Math.round(percent / 5);
  return `${pc.cyan('█'.repeat(full))}${pc.dim('░'.repeat(20 - full))}`;
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
