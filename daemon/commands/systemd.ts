/**
 * What systemd is told, where it started the daemon as a service of `Type=notify`. Node has no
 * datagram sockets of the Unix kind, so systemd's own program tells it.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Says that clients are served; does nothing where systemd does not listen. */
export async function tellSystemd(): Promise<void> {
  if (process.env['NOTIFY_SOCKET'] === undefined) return;
  try {
    await promisify(execFile)('systemd-notify', ['--ready']);
  } catch (error) {
    // The service manager ends a start that it hears nothing of; what is served is not ended here.
    console.error(`eventlogd: systemd cannot be told that it is ready: ${String(error)}`);
  }
}
