/**
 * What the commands of the `eventlog` program share on the command line.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from 'commander';

/** An integer from 0 on. */
export function parseCount(text: string): number {
  return parseInteger(text, 0);
}

/** An integer from 1 on. */
export function parseLimit(text: string): number {
  return parseInteger(text, 1);
}

/** Gathers an option that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** Adds examples to a command's help. */
export function addExamples(command: Command, examples: readonly string[]): void {
  command.addHelpText(
    'after',
    `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`,
  );
}

function parseInteger(text: string, min: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new InvalidArgumentError(`It must be an integer from ${min} on.`);
}
