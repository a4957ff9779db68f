/** Does the calls that its parent asks for, and answers with what came of them. */
import * as fs from 'node:fs';

/** One function of `node:fs`, and what it is called with. */
export interface Asked {
  readonly id: number;
  readonly name: 'now' | 'exit' | keyof typeof fs;
  readonly args: readonly unknown[];
}

/** What it returned, or the error's number. */
export type Answered =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly errno: number };

const functions = fs as unknown as Record<string, (...args: unknown[]) => unknown>;

process.on('message', ({ id, name, args }: Asked) => {
  const answer = (answered: Answered): void => {
    process.send?.(answered);
  };
  const failed = (error: unknown): void =>
    answer({ id, errno: -((error as NodeJS.ErrnoException).errno ?? 0) });
  try {
    if (name === 'exit') process.exit(0);
    if (name === 'now') {
      answer({ id, value: [Date.now(), new Date().getTime(), performance.now()] });
    } else if (name.endsWith('Sync')) {
      answer({ id, value: functions[name]?.(...args.map(bytesOf)) });
    } else {
      functions[name]?.(...args.map(bytesOf), (error: unknown, value: unknown) =>
        error === null ? answer({ id, value }) : failed(error),
      );
    }
  } catch (error) {
    failed(error);
  }
});

/** Texts that are to be written as bytes travel as `{ bytes: text }`. */
function bytesOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bytesOf);
  const isBytes = typeof value === 'object' && value !== null && 'bytes' in value;
  return isBytes ? Buffer.from(String(value.bytes)) : value;
}
