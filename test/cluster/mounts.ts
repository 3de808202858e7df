import { readFileSync } from 'node:fs';
import { run } from './run.ts';

/** Mount points in the format of /proc/mounts, whose blanks, tabs, newlines and backslashes are octal. */
export function parseMountPoints(table: string): string[] {
  return table
    .split('\n')
    .map((line) => line.split(' ')[1])
    .filter((point) => point !== undefined)
    .map((point) =>
      point.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    );
}

/** The mount points below a folder, the last mounted first: one mounted upon another comes off before it. */
export function mountsBelow(folder: string, table: string = readFileSync('/proc/mounts', 'utf8')): string[] {
  const prefix = folder.endsWith('/') ? folder : `${folder}/`;
  return parseMountPoints(table)
    .filter((point) => point.startsWith(prefix))
    .reverse();
}

/** Lazy, so that a file still open somewhere (a shell of the user in a volume) does not keep the instance alive. */
export async function unmountBelow(folder: string): Promise<void> {
  const points = mountsBelow(folder);
  // umount takes many arguments; a thousand keep the command line under the kernel's limit.
  for (let i = 0; i < points.length; i += 1000) await run('umount', ['--lazy', '--', ...points.slice(i, i + 1000)]);
}
