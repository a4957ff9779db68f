/** Journals as they lie on disk after long use, written without a daemon and then made known to one. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type EventLog } from '../../client/index.js';
import { startDaemon } from '../peers/eventlogd.js';

const CHUNK_LINES = 2_000;
/** Every fourth event of a thread is a message, the others are what an agent leaves beside. */
const MESSAGE_EVERY = 4;
const TURNS_PER_SESSION = 3;
/** Of so many sessions one has a turn that is still open. */
const OPEN_EVERY = 100;
const FILLER = 'The quick brown fox jumps over the lazy dog. '.repeat(3);

/** A thread with one run, of about 300 bytes an event. */
export function writeThread(dir: string, threadId: string, events: number): void {
  const folder = join(dir, 'threads', threadId, 'runs');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = openSync(join(folder, 'r1.jsonl'), 'a', 0o600);
  for (let from = 1; from <= events; from += CHUNK_LINES) {
    const lines: string[] = [];
    for (let seq = from; seq < from + CHUNK_LINES && seq <= events; seq += 1) {
      const isMessage = seq % MESSAGE_EVERY === 0;
      const event = {
        thread_id: threadId,
        run_id: 'r1',
        event_type: isMessage ? 'llm.ai.response' : 'llm.token',
        category: isMessage ? 'message' : 'trace',
        content: FILLER,
        metadata: {},
        seq,
        created_at: '2026-01-02T03:04:05.000006+00:00',
      };
      lines.push(`${JSON.stringify(event)}\n`);
    }
    writeSync(fd, lines.join(''));
  }
  closeSync(fd);
}

/** Sessions s0, s1 … with a few turns each; some have one that is still open. */
export function writeSessions(dir: string, count: number): void {
  const folder = join(dir, '_turn_journal');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (let at = 0; at < count; at += 1) {
    const lines = sessionLines(at).map((line) => `${JSON.stringify(line)}\n`);
    writeFileSync(join(folder, `s${at}.jsonl`), lines.join(''), { mode: 0o600 });
  }
}

function sessionLines(at: number): object[] {
  const lines: object[] = [];
  for (let turn = 0; turn < TURNS_PER_SESSION; turn += 1) {
    const isOpen = turn === TURNS_PER_SESSION - 1 && at % OPEN_EVERY === 0;
    for (const event of ['submitted', 'assistant_started', ...(isOpen ? [] : ['completed'])]) {
      const content = event === 'submitted' ? FILLER : '';
      const own = { version: 1, session_id: `s${at}`, turn_id: `turn-${turn}` };
      lines.push({ event, content, ...own, created_at: 1.5, seq: lines.length + 1 });
    }
  }
  return lines;
}

/** Lets a daemon take in what lies there, and stop with everything in its catalog. */
export async function makeKnown(
  dir: string,
  touch: (log: EventLog) => Promise<unknown>,
): Promise<void> {
  await using _daemon = await startDaemon(dir);
  const log = await connect({ dir, timeoutMs: 600_000 });
  await touch(log);
  await log.close();
}
