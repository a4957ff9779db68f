import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { writeEntry, writeRun, writeTurn } from '../../../client/cli/event-row.js';
import { writeRuns, writeTurns } from '../../../client/cli/event-table.js';
import { Output } from '../../../client/cli/output.js';
import { detailsOf, runEventOf, turnEventOf } from '../../../client/records.js';

/** What is written to a terminal, or into a pipe. */
async function written(
  work: (output: Output) => Promise<void>,
  options: { isTTY?: boolean; json?: boolean } = {},
): Promise<string> {
  const stream = Object.assign(new PassThrough(), { isTTY: options.isTTY ?? true });
  const reading = text(stream);
  await work(new Output(stream, options.json ?? false));
  stream.end();
  return await reading;
}

const TURNS = [
  '{"event":"submitted","turn_id":"t1","content":"hi\\u001b[31m","created_at":1779000000.5,"version":1,"seq":1}',
  '{"nan":NaN,"big":18446744073709551616}',
].map((line, index) => turnEventOf(line, { seq: index + 1, generation: 1 }));

const RUNS = [
  `{"run_id": "r1", "event_type": "m", "category": "message", "content": "${'x'.repeat(300)}\\nmore", "seq": 7, "created_at": "now"}`,
  '{"content": {"a": [1, NaN]}, "seq": 8}',
].map((line, index) => runEventOf(line, { seq: index + 7, generation: 1 }));

test('a terminal gets tables, one event a line and no control characters', async (t) => {
  const turns = await written((output) => writeTurns(output, TURNS));
  const [head, one, two] = turns.split('\n');
  t.regex(head ?? '', /^seq +created_at +turn_id +event +more/);
  t.regex(one ?? '', /^1 +2026-05-17T06:40:00\.500Z +t1 +submitted +\{"content":"hi/);
  t.regex(two ?? '', /^2 .*"nan":"NaN","big":"18446744073709551616"/);
  const runs = await written((output) => writeRuns(output, RUNS));
  t.is(runs.trimEnd().split('\n').length, 3);
  t.regex(runs, /^7 +now +r1 +m +message +x+…/m);
  t.regex(runs, /^8 .*\{"a":\[1,"NaN"\]\}/m);
  t.notRegex((turns + runs).replaceAll('\n', ''), /\p{Cc}/u);
  t.is(await written((output) => writeTurns(output, [])), '');
});

test('a pipe gets the exact lines, and so does a terminal with --json', async (t) => {
  const wanted =
    '{"event":"submitted","turn_id":"t1","content":"hi\\u001b[31m","created_at":1779000000.5,"version":1,"seq":1}\n' +
    '{"nan":NaN,"big":18446744073709551616,"seq":2}\n';
  t.is(await written((output) => writeTurns(output, TURNS), { isTTY: false }), wanted);
  t.is(await written((output) => writeTurns(output, TURNS), { json: true }), wanted);
  const runs = await written((output) => writeRuns(output, RUNS), { isTTY: false });
  t.true(runs.endsWith('\n{"content": {"a": [1, NaN]}, "seq": 8}\n'));
});

test('an event that was deleted since is shown as its record', async (t) => {
  const line = '{"event":"e","seq":1}';
  const deleted = turnEventOf(line, { seq: 1, generation: 1, isDeleted: true });
  t.is(await written((output) => writeTurns(output, [deleted]), { json: true }), `${line}\n`);
});

test('what is followed is a line an event, for a terminal as for a pipe', async (t) => {
  const [turnEvent] = TURNS;
  const [runEvent] = RUNS;
  if (turnEvent === undefined || runEvent === undefined) return t.fail();
  const write = async (output: Output): Promise<void> => {
    await writeTurn(output, turnEvent);
    await writeRun(output, runEvent);
    const place = { position: 9, streamId: 's' };
    await writeEntry(output, { ...place, journal: 'turns', event: turnEvent });
    await writeEntry(output, { ...place, journal: 'turns', deleted: true });
    await writeEntry(output, { ...place, journal: 'runs', runId: 'r1', deleted: true });
  };
  const terminal = (await written(write)).trimEnd().split('\n');
  t.is(terminal.length, 5);
  t.regex(
    terminal[0] ?? '',
    /^1 {2}2026-05-17T06:40:00\.500Z {2}t1 {2}submitted {2}\{"content":"hi/,
  );
  t.regex(terminal[1] ?? '', /^7 {2}now {2}r1 {2}m {2}message {2}x+…$/);
  t.is(terminal[2], `9  turns  s  ${terminal[0]}`);
  t.is(terminal[3], '9  turns  s  deleted');
  t.is(terminal[4], '9  runs  s  run r1 deleted');
  t.notRegex(terminal.join(''), /\p{Cc}/u);
  const piped = (await written(write, { isTTY: false })).trimEnd().split('\n');
  t.is(piped[0], detailsOf(turnEvent).text ?? '');
  t.is(piped[2], `{"position":9,"streamId":"s","journal":"turns","event":${piped[0]}}`);
  t.is(piped[3], '{"position":9,"streamId":"s","journal":"turns","deleted":true}');
});
