/** A daemon and its clients as different users of one group, as containers have them. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { sessionFile, testWith } from '../support/faults.js';

const CLI = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));
const [DAEMON, WORKER, STRANGER] = [61_001, 61_002, 61_003];
const [GROUP, OTHER_GROUP] = [62_000, 62_001];

function as(uid: number, gid: number): string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
}

/** Runs a program as that user; its exit code and what it printed. */
async function run(
  user: readonly string[],
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly output: string }> {
  const [program = '', ...args] = [...user, ...command];
  const env = { PATH: process.env['PATH'], ...environment };
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { env });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

testWith(
  ['root', 'setpriv'],
  'a worker of another user, a stranger, and who reads the files',
  async (t) => {
    const folder = await makeFolder(t);
    await chmod(folder, 0o755);
    const [dir, sockets] = [join(folder, 'd'), join(folder, 's')];
    for (const path of [dir, sockets]) {
      await mkdir(path);
      await chown(path, DAEMON, GROUP);
      await chmod(path, 0o750);
    }
    const socket = join(sockets, 'e.sock');
    await startDaemonProcess(t, {
      dir,
      args: ['--socket', socket, '--socket-mode', '0660', '--file-mode', '0640'],
      through: as(DAEMON, GROUP),
    });
    const append = [process.execPath, CLI, 'append', 'turns', 's1', '{"event":"submitted"}'];

    const worker = await run(as(WORKER, GROUP), append, { EVENTLOGD_SOCKET: socket });
    t.is(worker.code, 0, worker.output);
    const read = await run(as(WORKER, GROUP), ['cat', sessionFile(dir, 's1')]);
    t.is(read.output, worker.output);

    const owner = await run(as(DAEMON, GROUP), append, { EVENTLOGD_DIR: dir });
    t.is(owner.code, 0, owner.output);

    const stranger = await run(as(STRANGER, OTHER_GROUP), append, { EVENTLOGD_SOCKET: socket });
    t.is(stranger.code, 69, stranger.output);
    t.regex(stranger.output, /EACCES/);
    const byFolder = await run(as(WORKER, GROUP), append, { EVENTLOGD_DIR: dir });
    t.is(byFolder.code, 69, byFolder.output);
    t.regex(byFolder.output, /EACCES.*endpoint/);
  },
);
