import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { connect } from '../kube/connect.ts';
import { messageOf } from '../kube/errors.ts';
import { createLogger } from '../kube/log.ts';
import { readConfig, VARIABLES, type WebhookConfig } from './config.ts';
import { startWebhook } from './start.ts';

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** The names that the environment is read by, for `--help`. */
function variables(): string {
  const width = Math.max(...Object.keys(VARIABLES).map((name) => name.length)) + 2;
  return Object.entries(VARIABLES)
    .map(([name, use]) => `  ${name.padEnd(width)}${use}`)
    .join('\n');
}

function configuration(): WebhookConfig {
  new Command('sidestep-webhook')
    .description('Admission webhook and launcher of Sidestep. Configured by its environment, run by the chart.')
    .addHelpText('after', `\nEnvironment:\n${variables()}`)
    .allowExcessArguments(false)
    .exitOverride((e) => process.exit(e.exitCode === 0 ? EXIT.ok : EXIT.usage))
    .parse();
  return readConfig(process.env);
}

async function main(): Promise<number> {
  let config: WebhookConfig;
  try {
    config = configuration();
  } catch (e) {
    process.stderr.write(`sidestep-webhook: ${messageOf(e)}\n`);
    return EXIT.usage;
  }
  const log = createLogger(config.logLevel, config.logFormat);
  const asked = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  try {
    const client = await connect();
    const webhook = await startWebhook({ config, client, log, now: () => new Date(), sleep });
    log.info('shutting down', { signal: await asked, graceMs: config.shutdownGraceMs });
    await webhook.shutDown();
    log.info('ended');
    return EXIT.ok;
  } catch (e) {
    log.error('webhook failed', { error: messageOf(e), stack: e instanceof Error ? e.stack : undefined });
    return EXIT.failed;
  }
}

// Keep-alive connections to the API server are all that is left; standard output is written synchronously.
process.exit(await main());
