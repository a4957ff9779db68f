/**
 * `eventlog backup`: a copy of the daemon's directory while it is in use.
 *
 * @module
 */
import { resolve } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { ProtocolError } from '../../shared/errors.js';
import type { WireBackup } from '../../shared/protocol.js';
import type { OnProgress } from '../answer.js';
import { addExamples } from './options.js';
import { runCommand, type Session } from './session.js';

const WHAT_IT_DOES = `
What it does: the daemon copies the journals and its own folder to a folder that does not exist yet,
or is empty, on its own host. The copy holds every event up to one position and none behind it.
Appends and reads go on; deletions and repairs wait for the last of it. Until it is whole and on the
disk it is called <folder>.partial; ended early, by Ctrl-C too, it is removed.
Start a daemon on the copy to restore it. --timeout is not for backups.

Exit codes: 0 it is there; 1 another one is under way, or it was cancelled; 2 it cannot be at that
place; 69 no daemon; 74 the disk has no room or refused.`;

/** Adds the command to the program. */
export function addBackupCommand(program: Command): void {
  const backup = program
    .command('backup')
    .description('copy the directory while the daemon serves it')
    .argument('<folder>', 'what to call the copy');
  addExamples(backup, [
    'eventlog backup /backups/journals-$(date +%F)',
    'eventlog --dir /srv/journals backup /backups/journals --json | jq .position',
  ]);
  backup.addHelpText('after', WHAT_IT_DOES);
  backup.action(async (folder: string) => {
    await runCommand(backup, (session) => makeBackup(session, resolve(folder)));
  });
}

async function makeBackup({ connection, output }: Session, folder: string): Promise<void> {
  const bar = progressBar();
  const { backup } = await connection
    .submit({ type: 'backup', folder }, { signal: onSignal(), onProgress: bar.show })
    .catch((error: unknown) => {
      throw error instanceof ProtocolError ? tooOld(error) : error;
    })
    .finally(bar.stop);
  if (backup === undefined) throw new ProtocolError('the daemon answered without the backup');
  if (output.format === 'ndjson') return await output.line(JSON.stringify(backup));
  await output.line(describe(backup));
}

/** Aborts at the first signal to end; the daemon removes what it has copied. */
function onSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new Error(`it was ended by ${signal}`)));
  }
  return controller.signal;
}

function tooOld({ message, outcome }: ProtocolError): ProtocolError {
  const next = 'update the daemon, or stop it and copy its directory';
  return new ProtocolError(`this daemon makes no backups (${message}): ${next}`, outcome);
}

/** Shows how far it has come where a person looks on. */
function progressBar(): { readonly show: OnProgress; readonly stop: () => void } {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: 'copying {bar} {percentage}% {copied} in {files} files',
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let isShown = false;
  return {
    show({ files, bytes, bytesTotal }) {
      if (process.stderr.isTTY !== true) return;
      const facts = { files, copied: sizeOf(bytes) };
      if (!isShown) bar.start(bytesTotal, bytes, facts);
      isShown = true;
      bar.setTotal(bytesTotal);
      bar.update(bytes, facts);
    },
    stop() {
      if (isShown) bar.stop();
    },
  };
}

function describe({ folder, files, bytes, position, tookMs }: WireBackup): string {
  const what = `${files} files, ${sizeOf(bytes)}, every event up to position ${position}`;
  return `${folder}: ${what}; took ${(tookMs / 1000).toFixed(1)} s`;
}

function sizeOf(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
