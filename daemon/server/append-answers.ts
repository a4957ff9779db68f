/**
 * Answers appends: with what the daemon assigned, or with what lies there already.
 *
 * @module
 */
import type { Cursor } from '../../shared/cursor.js';
import { errorToWire } from '../../shared/error-wire.js';
import { StorageFailedError, TurnTerminalError } from '../../shared/errors.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { WireAck } from '../../shared/protocol.js';
import type { AppendResult } from '../commit/operations.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { TerminalRefusal } from '../commit/terminal-refusal.js';
import type { AckRun } from '../storage/catalog-format.js';
import type { Stream } from '../streams/stream.js';
import type { StreamTable } from '../streams/stream-table.js';
import type { AnswerWriter } from './answer-writer.js';
import { WireRefusal } from './wire-refusal.js';

/** An append that was not refused, with the event that it found in its place. */
export type SettledAppend =
  | Exclude<AppendResult, { readonly kind: 'present' }>
  | {
      readonly kind: 'present';
      readonly seq: number;
      readonly generation: number;
      readonly text: Uint8Array;
    };

/** The event that an append found in its place; null where it was deleted since. */
export async function foundPresent(
  table: StreamTable,
  { stream, generation, row }: Extract<AppendResult, { readonly kind: 'present' }>,
): Promise<SettledAppend | null> {
  const seq = stream.index.seqAt(row);
  const text = await table.line(stream, row);
  return text === null ? null : { kind: 'present', seq, generation, text };
}

/** Answers an append that was not refused. */
export function answerAppend(
  table: StreamTable,
  result: SettledAppend,
  answer: AnswerWriter,
): void {
  switch (result.kind) {
    case 'appended':
      return answer.end({ acks: result.events.map(ackOf), created: true });
    case 'present': {
      const { kind: _kind, ...found } = result;
      return answer.end({ acks: [{ ...found, position: 0 }], created: false });
    }
    case 'duplicate':
      answerDuplicates(table, result.runs, answer).catch((error: unknown) => answer.fail(error));
      return;
    default:
      result satisfies never;
  }
}

/** What the daemon assigned; members that are undefined are left out on the wire. */
function ackOf({ seq, stream, position, stampUs, chosenTurn }: SealedEvent): WireAck {
  return {
    seq,
    generation: stream.generation,
    position,
    createdAtUs: stampUs ?? undefined,
    turnId: chosenTurn ?? undefined,
  };
}

/** The first results of an append that was sent again. */
async function answerDuplicates(
  table: StreamTable,
  runs: readonly AckRun[],
  answer: AnswerWriter,
): Promise<void> {
  for (const run of runs) await answerDuplicate(table, run, answer);
  answer.end({ duplicate: true, created: true });
}

/** Events that follow one another; their lines may be deleted since. */
async function answerDuplicate(
  table: StreamTable,
  run: AckRun,
  answer: AnswerWriter,
): Promise<void> {
  const { journal, id, generation, firstSeq, firstPosition, count } = run;
  const stream = table.hold({ journal, id });
  try {
    await known(table.ready(stream));
    let acks: WireAck[] = [];
    let bytes = 0;
    for (let at = 0; at < count; at += 1) {
      const seq = firstSeq + at;
      const text = await known(lineOf(table, stream, { generation, seq }));
      acks.push({ seq, generation, position: firstPosition + at, text });
      bytes += (text?.length ?? 0) + 64;
      if (bytes < ANSWER_FRAME_BYTES) continue;
      await answer.part({ acks });
      acks = [];
      bytes = 0;
    }
    if (acks.length > 0) await answer.part({ acks });
  } finally {
    table.release(stream);
  }
}

/** The line of an event; null where it was deleted. */
async function lineOf(table: StreamTable, stream: Stream, of: Cursor): Promise<Uint8Array | null> {
  for (;;) {
    const { index, generation } = stream;
    const row = index.firstFrom(of.seq);
    const isThere =
      generation === of.generation && row < index.length && index.seqAt(row) === of.seq;
    if (!isThere) return null;
    const line = await table.line(stream, row);
    if (line !== null) return line;
  }
}

/** What is read for an append that was done: that it cannot be read does not undo it. */
async function known<Result>(reading: Promise<Result>): Promise<Result> {
  try {
    return await reading;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StorageFailedError(
      `the append was done before, but not to be read: ${why}`,
      'unknown',
    );
  }
}

/**
 * The refusal of an append whose turn has ended, with the event that ended it; null where that was
 * deleted since.
 */
export async function terminalRefusal(
  table: StreamTable,
  { stream, terminal }: TerminalRefusal,
): Promise<WireRefusal | null> {
  const found = 'row' in terminal ? await terminalAt(table, stream, terminal.row) : terminal;
  if (found === null) return null;
  const { line: text, ...of } = found;
  const message = `the turn ended with the event of seq ${of.seq}; nothing was written`;
  return new WireRefusal(errorToWire(new TurnTerminalError({}, message), { text, ...of }));
}

async function terminalAt(
  table: StreamTable,
  stream: Stream,
  row: number,
): Promise<Extract<TerminalRefusal['terminal'], { line: Uint8Array }> | null> {
  const { generation } = stream;
  const seq = stream.index.seqAt(row);
  const line = await table.line(stream, row);
  return line === null ? null : { line, seq, generation };
}
