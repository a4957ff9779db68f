/** Builds `fault-shim.c` with the system's compiler, once for each content. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(
  new URL('../../../../test/support/fault-shim/fault-shim.c', import.meta.url),
);
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared'];

/** The path of the built library, or why there is none. */
export type BuiltShim =
  | { readonly kind: 'built'; readonly library: string }
  | { readonly kind: 'absent'; readonly reason: string };

/** Builds the library, or finds what was built before. */
export function buildFaultShim(): BuiltShim {
  if (process.platform !== 'linux') return absent(`${process.platform} is not Linux`);
  const key = createHash('sha256').update(readFileSync(SOURCE)).update(FLAGS.join(' '));
  const name = `${key.update(process.arch).digest('hex').slice(0, 16)}.so`;
  const library = join(ownFolder(), name);
  if (existsSync(library)) return { kind: 'built', library };
  // Two test processes may build at once: each its own file, and the name goes to the last.
  const temporary = `${library}.${process.pid}`;
  const built = spawnSync('cc', [...FLAGS, '-o', temporary, SOURCE, '-ldl'], { encoding: 'utf8' });
  if (built.error !== undefined) return absent(`no C compiler (${built.error.message})`);
  if (built.status !== 0)
    return absent(`the C compiler refuses: ${built.stderr.split('\n', 1)[0]}`);
  renameSync(temporary, library);
  return { kind: 'built', library };
}

function absent(reason: string): BuiltShim {
  return { kind: 'absent', reason };
}

/** A folder that nobody else can put a library into. */
function ownFolder(): string {
  const uid = process.getuid?.();
  const folder = join(tmpdir(), `eventlogd-fault-shim-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (statSync(folder).uid !== uid) throw new Error(`${folder} belongs to somebody else`);
  return folder;
}
