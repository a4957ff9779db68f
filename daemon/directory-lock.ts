/**
 * The lock that makes a directory one daemon's: an open-file-description lock, which the kernel
 * frees when its holder dies, however it dies.
 *
 * The lock is on an inode, so after taking it the file's path must still lead there; otherwise
 * somebody replaced the file and two could hold "the" lock.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tryLock } from 'fs-native-extensions';
import { LockHeldError } from '../shared/errors.js';

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
const ATTEMPTS_MAX = 100;
const HOLDER_BYTES = 64;

/** A lock that is held until `release` or the end of the process. */
export interface DirectoryLock {
  /** Whether the path still leads to the file that is locked. */
  isIntact(): boolean;
  release(): void;
}

/**
 * Takes the lock, or says who holds it.
 *
 * @param path the lock file, created if it is absent
 * @throws LockHeldError with the holder's process id
 */
export function lockDirectory(path: string): DirectoryLock {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    if (!tryLock(fd)) {
      closeSync(fd);
      const pid = holderOf(path);
      const who = pid === null ? 'another process' : `process ${pid}`;
      throw new LockHeldError(pid, `the directory is in use: ${who} holds ${path}; stop it first`);
    }
    if (isSameFile(fd, path)) {
      // Always of one length, so that it can be written again on a full disk.
      const holder = `${JSON.stringify({ pid: process.pid })}`.padEnd(HOLDER_BYTES - 1);
      writeSync(fd, `${holder}\n`, 0);
      return { isIntact: () => isSameFile(fd, path), release: () => closeSync(fd) };
    }
    closeSync(fd);
  }
  throw new Error(`${path} is replaced again and again: something else than eventlogd uses it`);
}

function isSameFile(fd: number, path: string): boolean {
  const ours = fstatSync(fd);
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && ours.nlink > 0 && ours.ino === there.ino && ours.dev === there.dev;
}

/** For the message only: what the holder wrote is not what makes it the holder. */
function holderOf(path: string): number | null {
  try {
    const { pid } = JSON.parse(readFileSync(path, 'utf8')) as { pid?: unknown };
    return typeof pid === 'number' ? pid : null;
  } catch {
    return null;
  }
}
