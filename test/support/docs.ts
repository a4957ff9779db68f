/** Reads what the documents show, so that tests can hold the code against it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as errors from '../../shared/errors.js';

/** The repository's root; compiled tests lie in `dist/test/…`. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));

/** A fenced block: the language, what else its first line says, and its text. */
export interface Block {
  readonly language: string;
  readonly info: string;
  readonly text: string;
}

export function readDocument(path: string): string {
  return readFileSync(`${ROOT}${path}`, 'utf8');
}

/** All fenced blocks, in their order. */
export function blocksOf(markdown: string): Block[] {
  const fences = markdown.matchAll(/^```(\w+)(?: (.*))?\n([\s\S]*?)\n```$/gm);
  return [...fences].map(([, language = '', info = '', text = '']) => ({ language, info, text }));
}

/** The one block of that language and info. */
export function blockOf(markdown: string, language: string, info: string): string {
  const [only, ...others] = blocksOf(markdown).filter(
    (block) => block.language === language && block.info === info,
  );
  if (only === undefined || others.length > 0) throw new Error(`not one ${language} ${info}`);
  return only.text;
}

/** The bytes of a hex block. */
export function bytesOfHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'));
}

/** The rows of the table that follows a heading, each as its cells; the head is left out. */
export function tableUnder(markdown: string, heading: string): string[][] {
  const start = markdown.indexOf(`${heading}\n`);
  if (start === -1) throw new Error(`no heading ${heading}`);
  const [table] = /^\|.*\n\|-[-|]*\n(?:\|.*\n)+/m.exec(markdown.slice(start)) ?? [];
  if (table === undefined) throw new Error(`no table under ${heading}`);
  return table
    .trim()
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
}

/** The codes of all errors, as the classes give them. */
export function errorCodes(): string[] {
  const classes = Object.values(errors).filter(
    (value): value is typeof errors.InvalidIdError =>
      typeof value === 'function' &&
      value !== (errors.EventLogError as unknown) &&
      value.prototype instanceof errors.EventLogError,
  );
  return classes.map((ErrorClass): string => Reflect.construct(ErrorClass, ['', '']).code);
}
