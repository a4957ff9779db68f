// Which workers are there. Each listens on a socket of its own for as long as it lives, so the
// kernel itself says who has died, however he died, and no worker is taken for another that got
// its process id later.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const WORKER_ID = /^[0-9a-f]{12}$/;

/**
 * Lets others see that this worker is there.
 *
 * @param {string} workerId twelve hexadecimal digits
 */
export async function announceWorker(workerId) {
  const server = createServer((socket) => socket.destroy());
  // Exclusive: in a cluster the primary would hold the socket, and outlive the worker.
  server.listen({ path: socketOf(workerId), exclusive: true });
  await once(server, 'listening');
  server.unref();
}

/**
 * Whether a worker is there still.
 *
 * @param {unknown} workerId as it stands in a journal
 * @returns {Promise<boolean>}
 */
export async function isWorkerThere(workerId) {
  if (typeof workerId !== 'string' || !WORKER_ID.test(workerId)) return false;
  const path = socketOf(workerId);
  const socket = createConnection({ path });
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ECONNREFUSED') await rm(path, { force: true });
    // Anything else, such as a full queue, says nothing of its death.
    return code !== 'ENOENT' && code !== 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}

/** @param {string} workerId */
function socketOf(workerId) {
  return join(tmpdir(), `eventlogd-webui-${workerId}.sock`);
}
