import { OptionError } from './errors.js';

/** From quiet to talkative; a level shows itself and all before it. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
/** How much is logged. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where log lines go; replace it with `setLogger`. `fields` are machine-readable details of the message. */
export interface Logger {
  (level: Exclude<LogLevel, 'silent'>, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** The words of `NIBBLELENS_LOG`, between commas. */
const words = (process.env.NIBBLELENS_LOG ?? '').split(',').filter(Boolean);

let threshold: LogLevel = LOG_LEVELS.find((level) => words.includes(level)) ?? 'warn';
let json = words.includes('json');

const toStderr: Logger = (level, message, fields) => {
  const line = json
    ? JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })
    : `nibblelens ${level}: ${message}`;
  process.stderr.write(`${line}\n`);
};

let sink: Logger = toStderr;

/** Replaces the sink of all log lines; `null` restores the default, standard error. */
export function setLogger(logger: Logger | null): void {
  sink = logger ?? toStderr;
}

/**
 * Sets how much is logged, and whether as JSON lines. The default comes from `NIBBLELENS_LOG`
 * (`silent`, `error`, `warn`, `info` or `debug`, optionally followed by `,json`), or else is `warn`.
 * @throws OptionError for a level that there is none of.
 */
export function setLogLevel(level: LogLevel, options: { json?: boolean } = {}): void {
  if (!LOG_LEVELS.includes(level)) {
    throw new OptionError({ thing: 'log level', found: level, expected: LOG_LEVELS.join(', ') });
  }
  threshold = level;
  json = options.json ?? json;
}

/** Logs one line if the level is shown. Never called on a hot path. */
export const log: Logger = (level, message, fields) => {
  if (LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(threshold)) sink(level, message, fields);
};

const warned = new Set<string>();

/** Logs a warning the first time that this message is given in this process: for fallbacks and what they cost. */
export function warnOnce(message: string, fields?: Readonly<Record<string, unknown>>): void {
  if (warned.has(message)) return;
  warned.add(message);
  log('warn', message, fields);
}

for (const word of words) {
  if (word === 'json' || LOG_LEVELS.some((level) => level === word)) continue;
  log('warn', `NIBBLELENS_LOG: found ${word}, expected ${LOG_LEVELS.join(', ')} or json`);
}
