/** Versions of what takes part. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The version that a program tells of itself, or null where it is not installed. */
export function versionOfProgram(command: string, pattern: RegExp): string | null {
  try {
    const told = execFileSync(command, ['--version'], { encoding: 'utf8' });
    return pattern.exec(told)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** A package with its version, as in "ioredis 5.11.1". */
export function packageWithVersion(name: string): string {
  const manifest = readFileSync(require.resolve(`${name}/package.json`), 'utf8');
  const { version } = JSON.parse(manifest) as { readonly version: string };
  return `${name} ${version}`;
}
