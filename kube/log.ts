import { createLogger as createWinston, format as formats, transports } from 'winston';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['json', 'text'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** What is said beside the constant message: names, counts, texts. Never object bodies, environment values or secrets. */
export type LogFields = Record<string, string | number | boolean | undefined | readonly string[] | Error> & {
  message?: never;
  level?: never;
};

/** A message is a constant, so that it can be searched for; what varies goes into the fields. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** The same log with these fields in every line. */
  child(fields: LogFields): Log;
}

/** A log on standard output, one line each: JSON, or text for people. Times are UTC, RFC 3339. */
export function createLogger(level: LogLevel, format: LogFormat): Log {
  const line = format === 'json' ? formats.json() : formats.printf(asText);
  const winston = createWinston({
    level,
    format: formats.combine(formats.timestamp(), line),
    transports: [new transports.Console()],
    exitOnError: false,
  });
  return logWith({}, (severity, message, fields) => winston.log({ ...fields, level: severity, message }));
}

type Write = (level: LogLevel, message: string, fields: Record<string, unknown>) => void;

function logWith(base: LogFields, write: Write): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) =>
    write(level, message, plain({ ...base, ...fields }));
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    child: (fields) => logWith({ ...base, ...fields } as LogFields, write),
  };
}

/** Errors become their message: JSON would make `{}` of them. */
function plain(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, value instanceof Error ? value.message : value]),
  );
}

function asText({ timestamp, level, message, ...fields }: Record<string, unknown>): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [timestamp, String(level).padEnd(5), message, ...pairs.map(([key, value]) => `${key}=${quoted(value)}`)].join(
    ' ',
  );
}

/** As it is if it is one plain word, else as JSON. */
const quoted = (value: unknown): string => {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(value);
};

/** For tests: keeps the lines instead of writing them. */
export function memoryLog(): Log & { lines: { level: LogLevel; message: string; fields: Record<string, unknown> }[] } {
  const lines: { level: LogLevel; message: string; fields: Record<string, unknown> }[] = [];
  return { ...logWith({}, (level, message, fields) => lines.push({ level, message, fields })), lines };
}
