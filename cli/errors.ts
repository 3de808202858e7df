/** 0: promoted, or nothing to do. 1: rolled back, cancelled, or the order was refused. 2: no verdict in time, or wrong use. */
export const EXIT = { good: 0, bad: 1, unknown: 2 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What the user wrote cannot be meant. */
export class UsageError extends Error {}
