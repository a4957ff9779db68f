/**
 * Answers appends: with what the daemon assigned, or with what lies there already.
 *
 * @module
 */
import { errorToWire } from '../../shared/error-wire.js';
import { StorageFailedError, TurnTerminalError } from '../../shared/errors.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { WireAck, WireError } from '../../shared/protocol.js';
import type { AppendResult } from '../commit/operations.js';
import type { TerminalRefusal } from '../commit/terminal-refusal.js';
import type { AckRun } from '../storage/catalog-format.js';
import type { FileTable } from '../streams/file-table.js';
import { readLine } from '../streams/line-reader.js';
import type { AnswerWriter } from './answer-writer.js';
import type { ServerContext } from './context.js';

/** A refusal whose wire form carries more than the error. */
export class WireRefusal extends Error {
  readonly wire: WireError;

  constructor(wire: WireError) {
    super(wire.message);
    this.wire = wire;
  }
}

/** Answers an append that was not refused. */
export async function answerAppend(
  context: ServerContext,
  result: AppendResult,
  answer: AnswerWriter,
): Promise<void> {
  switch (result.kind) {
    case 'appended': {
      const acks = result.assigned.map(
        ({ seq, generation, position, createdAtUs, turnId }): WireAck => ({
          seq,
          generation,
          position,
          ...(createdAtUs === null ? {} : { createdAtUs }),
          ...(turnId === null ? {} : { turnId }),
        }),
      );
      return answer.end({ acks, created: true });
    }
    case 'present': {
      const { stream, generation, row } = result;
      const { seq } = stream.index.row(row);
      const text = await readLine(context.store.files, stream.files, stream.index.row(row));
      return answer.end({ acks: [{ seq, generation, position: 0, text }], created: false });
    }
    case 'duplicate':
      for (const run of result.runs) await answerDuplicate(context, run, answer);
      return answer.end({ duplicate: true, created: true });
    default:
      return result satisfies never;
  }
}

/** The first result of an append that was sent again; its lines may be deleted since. */
async function answerDuplicate(
  { store: { table, files } }: ServerContext,
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
      const row = stream.index.firstFrom(seq);
      const isThere =
        stream.generation === generation &&
        row < stream.index.length &&
        stream.index.seqAt(row) === seq;
      const text = isThere
        ? await known(readLine(files, stream.files, stream.index.row(row)))
        : null;
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

/** The refusal of an append whose turn has ended, with the event that ended it. */
export async function terminalRefusal(
  files: FileTable,
  { stream, terminal }: TerminalRefusal,
): Promise<WireRefusal> {
  const found =
    'row' in terminal
      ? {
          text: await readLine(files, stream.files, stream.index.row(terminal.row)),
          seq: stream.index.seqAt(terminal.row),
          generation: stream.generation,
        }
      : { text: terminal.line, seq: terminal.seq, generation: terminal.generation };
  const message = `the turn ended with the event of seq ${found.seq}; nothing was written`;
  return new WireRefusal(errorToWire(new TurnTerminalError({}, message), found));
}
