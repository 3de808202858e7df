import { readFileSync } from 'node:fs';

/** A process, told apart from a later one with the same id by its start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot (field 22 of /proc/PID/stat). */
  readonly startTime: number;
}

/** What is read from /proc/PID/stat. */
export interface ProcessStat {
  readonly state: string;
  readonly startTime: number;
}

/**
 * Reads the text of /proc/PID/stat. The second field, the command in parentheses, may itself hold blanks and parentheses,
 * so that the fields are counted from its last closing one.
 */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // fields[0] is field 3 of proc(5), the state; the start time is field 22.
  return { state: fields[0] ?? '', startTime: Number(fields[19]) };
}

/** @returns undefined if there is no such process */
export function processStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** @throws Error if the process has ended already */
export function identify(pid: number): ProcessIdentity {
  const stat = processStat(pid);
  if (!stat) throw new Error(`process ${pid} ended at once`);
  return { pid, startTime: stat.startTime };
}

/** Whether exactly this process still runs; a zombie does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = processStat(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X';
}
