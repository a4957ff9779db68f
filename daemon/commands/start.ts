/**
 * `eventlogd start`: runs the daemon until it is told to stop.
 *
 * @module
 */
import type { Command } from 'commander';
import { type Daemon, startDaemon } from '../daemon.js';
import { EXIT } from './exit-codes.js';
import { type CommonOptions, configOf, withDaemonOptions } from './options.js';
import { reportToPm2, tellParent } from './pm2.js';
import { tellSystemd } from './systemd.js';

const EXAMPLES = `
Examples:
  eventlogd start                                   # on ./data
  eventlogd start --dir /srv/journals --log-level warn
  eventlogd start --http 127.0.0.1:9464             # /healthz, /readyz, /metrics
  eventlogd start --dir /srv/journals --socket /run/eventlogd/e.sock --socket-mode 0660

Signals: SIGTERM, SIGINT and pm2's message 'shutdown' drain: accepted appends are answered, then it stops with 0.
Exit codes: 0 stopped; 2 usage; 65 damaged data; 74 input/output error; 78 the directory is in use.`;

export function addStart(program: Command): void {
  withDaemonOptions(program.command('start'))
    .description('run the daemon of a journal directory')
    .addHelpText('after', EXAMPLES)
    .action(start);
}

async function start(options: CommonOptions): Promise<void> {
  // Signals are held from the first moment: one during recovery stops the daemon after it.
  let onStop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    onStop = resolve;
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onStop);
  // How pm2 ends a process where it has no signals, or is asked to.
  process.on('message', (message) => {
    if (message === 'shutdown') onStop();
  });
  const { config, origins } = configOf(options);
  const daemon = await startDaemon(config);
  announce(daemon, options.json === true, origins.dir !== 'default');
  tellParent('ready');
  void tellSystemd();
  reportToPm2(daemon);
  void stopped.then(() => daemon.close());
  const end = await daemon.closed;
  if (end.kind === 'failed') {
    console.error(`eventlogd stopped: ${end.message}`);
    process.exitCode = EXIT.ioError;
  }
  if (process.connected) process.disconnect();
}

function announce({ dir, socketPath, httpUrl }: Daemon, json: boolean, isNamed: boolean): void {
  if (json) {
    console.log(JSON.stringify({ listening: socketPath, dir, http: httpUrl, pid: process.pid }));
    return;
  }
  const flag = isNamed ? ` --dir ${shellQuoted(dir)}` : '';
  console.log(`eventlogd listens on ${socketPath} for ${dir} (process ${process.pid})`);
  if (httpUrl !== null) console.log(`metrics and health: ${httpUrl}/metrics, /healthz, /readyz`);
  console.log(
    `try: echo '{"event":"submitted","content":"hi"}' | npx eventlog append turns s1 --json${flag}`,
  );
}

function shellQuoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
