/**
 * A disk that can lose power: an ext4 file system in an image file. Losing power stops it at once,
 * with nothing of what only the page cache or the unwritten journal of ext4 holds; what was written
 * to the image before stays. So what nobody synced is gone, as far as ext4 did not write it earlier.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const RETRY_MS = 20;
const PATIENCE_MS = 20_000;
/** As long as any test: ext4 writes its journal when it is told to, not by itself. */
const COMMIT_S = 600;
/** `ioctl(EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH)` on the root of the file system. */
const SHUTDOWN = `
  open(my $root, '<', $ARGV[0]) or die "$ARGV[0]: $!";
  my $flags = pack('L', 2);
  ioctl($root, 0x8004587D, $flags) or die "EXT4_IOC_SHUTDOWN: $!";
`;

/** One such disk, mounted from its making on. */
export class PowerDisk {
  static #absence: string | null | undefined;
  /** Where it is mounted. */
  readonly folder: string;
  readonly #image: string;

  private constructor(folder: string, image: string) {
    this.folder = folder;
    this.#image = image;
  }

  /** Why there can be no such disk here, or null if there can: it is tried once. */
  static absence(): string | null {
    PowerDisk.#absence ??= tryOut();
    return PowerDisk.#absence;
  }

  /** @param parent the folder for the image and the mount point */
  static async make(parent: string, bytes: number): Promise<PowerDisk> {
    const disk = new PowerDisk(join(parent, 'disk'), join(parent, 'disk.img'));
    await mkdir(disk.folder);
    await run('truncate', ['-s', String(bytes), disk.#image]);
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', disk.#image]);
    await disk.restorePower();
    return disk;
  }

  /** Every call on it fails from now on; programs with open files on it are to be ended. */
  async losePower(): Promise<void> {
    await run('perl', ['-e', SHUTDOWN, this.folder]);
  }

  /** Waits until nobody uses it any more, then mounts what the image holds. */
  async restorePower(): Promise<void> {
    await this.#unmount();
    // Without noauto_da_alloc, ext4 syncs what is renamed over something else by itself.
    const options = `loop,noauto_da_alloc,commit=${COMMIT_S}`;
    await run('mount', ['-t', 'ext4', '-o', options, this.#image, this.folder]);
  }

  /** Unmounts and removes it. */
  async remove(): Promise<void> {
    await this.#unmount();
    rmdirSync(this.folder);
    rmSync(this.#image);
  }

  async #unmount(): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { status, stderr } = spawnSync('umount', [this.folder], { encoding: 'utf8' });
      if (status === 0 || stderr.includes('not mounted')) return;
      if (Date.now() > deadline) throw new Error(stderr);
      await sleep(RETRY_MS);
    }
  }
}

/** Makes one, takes its power, and mounts it again; says what refused. */
function tryOut(): string | null {
  if (process.platform !== 'linux') return `${process.platform} is not Linux`;
  if (process.getuid?.() !== 0) return 'not root';
  const folder = mkdtempSync('/tmp/el-');
  const image = join(folder, 'image');
  const mounted = join(folder, 'm');
  const script = `
    set -e
    mkdir ${mounted}
    truncate -s 4M ${image}
    mkfs.ext4 -q -F ${image}
    mount -t ext4 -o loop ${image} ${mounted}
    trap 'umount ${mounted}' EXIT
    perl -e "$1" ${mounted}
  `;
  const tried = spawnSync('bash', ['-c', script, 'bash', SHUTDOWN], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  if (tried.error !== undefined) return tried.error.message;
  return tried.status === 0 ? null : (tried.stderr.split('\n', 1)[0] ?? '');
}
