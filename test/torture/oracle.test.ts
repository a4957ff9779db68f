/** The oracle on histories made by hand: what it must accept, and what it must find. */
import test, { type ExecutionContext } from 'ava';
import type { Told } from '../support/follower.process.js';
import { checkHeld, dueNow, type HeldRow, type HeldStream } from './held.js';
import type { Answer, Request, Row, Wanted } from './history.js';
import { Ledger, type Rule } from './ledger.js';
import { checkTurnStates } from './turns.js';
import { checkView, seeTold, type View } from './views.js';

/** A history: each call takes the next instant. */
class Scene {
  readonly ledger = new Ledger();
  #at = 0;
  #number = 0;

  request(request: Partial<Request>): Request {
    this.#at += 1;
    this.#number += 1;
    const whole: Request = {
      kind: 'request',
      client: 'w0.0',
      number: this.#number,
      at: this.#at,
      operation: 'append',
      events: [],
      ...request,
    };
    this.ledger.take([whole]);
    return whole;
  }

  answer({ client, number }: Request, answer: Partial<Answer>): void {
    this.#at += 1;
    const outcome = 'acknowledged';
    this.ledger.take([{ kind: 'answer', client, number, at: this.#at, outcome, ...answer }]);
  }

  /** An append that is acknowledged. */
  acked(event: Wanted, place: Partial<Row> = {}, more: Partial<Request> = {}): Request {
    const request = this.request({ events: [event], ...more });
    this.answer(request, { rows: [at(event.id, place)] });
    return request;
  }

  /** The files hold these, at one instant; what must be there is asked before. */
  files(streams: Readonly<Record<string, readonly HeldRow[]>>): void {
    const held = Object.entries(streams).map(
      ([stream, rows]): HeldStream => ({ stream, generation: 0, rows }),
    );
    const due = dueNow(this.ledger);
    checkHeld(this.ledger, { by: 'the files', held, due, isWhole: true });
    this.ledger.checkOutcomes();
  }

  /** A subscriber was told these. */
  view(stream: string | null, told: readonly Told[], more: Partial<View> = {}): void {
    const view: View = { name: 'a subscriber', stream, told, ...more };
    seeTold(this.ledger, view, told);
    checkView(this.ledger, view);
  }
}

const SESSION = 'turns/s0';
const THREAD = 'runs/t0';

function turn(id: string, more: Partial<Wanted> = {}): Wanted {
  return { id, stream: SESSION, run: null, type: 'token', padding: 0, ...more };
}

function run(id: string, more: Partial<Wanted> = {}): Wanted {
  return { id, stream: THREAD, run: 'r0', type: 'token', padding: 0, ...more };
}

/** Where it stands; by its last letter's place in the alphabet unless said. */
function at(id: string, more: Partial<Row> = {}): Row {
  const seq = id.charCodeAt(id.length - 1) - 96;
  return { id, generation: 1, seq, position: seq, checksum: checksumOf(id), ...more };
}

function held(id: string, more: Partial<HeldRow> = {}): HeldRow {
  const { seq, checksum } = at(id);
  const row = { id, seq, checksum: checksum ?? 0, run: null, type: 'token', turn: null };
  return { ...row, by: null, stamp: null, ...more };
}

function told(id: string, more: Partial<Extract<Told, { kind: 'event' }>> = {}): Told {
  const { generation, seq } = at(id);
  const place = { stream: SESSION, run: null, generation, seq, at: String(seq) };
  return { kind: 'event', ...place, content: id, checksum: checksumOf(id), ...more };
}

function checksumOf(id: string): number {
  return 1_000 + id.length * 100 + id.charCodeAt(id.length - 1);
}

const refused = { outcome: 'not-committed', code: 'TIMEOUT' } as const;
const unknown = { outcome: 'unknown', code: 'TIMEOUT' } as const;

const accepted = test.macro((t: ExecutionContext, play: (scene: Scene) => void) => {
  const scene = new Scene();
  play(scene);
  t.deepEqual(scene.ledger.findings, []);
});

const found = test.macro((t: ExecutionContext, rule: Rule, play: (scene: Scene) => void) => {
  const scene = new Scene();
  play(scene);
  t.true(scene.ledger.findings.length > 0, 'nothing was found');
  t.deepEqual([...new Set(scene.ledger.findings.map((finding) => finding.rule))], [rule]);
});

test('what was acknowledged is there', accepted, (scene) => {
  scene.acked(turn('a'));
  scene.acked(turn('b'));
  scene.files({ [SESSION]: [held('a'), held('b')] });
});

test('unknown, unanswered: there or not', accepted, (scene) => {
  scene.answer(scene.request({ events: [turn('a')] }), unknown);
  scene.answer(scene.request({ events: [turn('x')] }), unknown);
  scene.request({ events: [turn('b')] });
  scene.request({ events: [turn('y')] });
  scene.files({ [SESSION]: [held('a'), held('b')] });
});

test('refused: not there', accepted, (scene) => {
  scene.answer(scene.request({ events: [turn('x')] }), refused);
  scene.files({});
});

test('refused, asked again by its key and acknowledged: there', accepted, (scene) => {
  scene.answer(scene.request({ events: [turn('a')], key: 'k' }), refused);
  scene.acked(turn('a'), {}, { key: 'k' });
  scene.files({ [SESSION]: [held('a')] });
});

test('a deletion that nobody was told of may have taken it', accepted, (scene) => {
  scene.acked(turn('a'));
  scene.request({ operation: 'delete', stream: SESSION, run: null });
  scene.files({});
});

test('a deletion that was refused took nothing', found, 'lost', (scene) => {
  scene.acked(turn('a'));
  scene.answer(scene.request({ operation: 'delete', stream: SESSION, run: null }), refused);
  scene.files({});
});

test('a deletion before it was asked for took nothing', found, 'lost', (scene) => {
  scene.answer(scene.request({ operation: 'delete', stream: SESSION, run: null }), { count: 0 });
  scene.acked(turn('a'));
  scene.files({});
});

test('runs that were deleted leave gaps', accepted, (scene) => {
  const stream = 'runs/td';
  scene.acked(run('a', { stream, run: 'r1' }));
  scene.acked(run('b', { stream }));
  scene.answer(scene.request({ operation: 'delete', stream, run: 'r1' }), { count: 1 });
  scene.files({ [stream]: [held('b', { run: 'r0' })] });
});

test('lines of others that only the page cache held go with the power', accepted, (scene) => {
  const stream = 'turns/sf';
  const request = scene.request({ operation: 'foreign', events: [turn('a', { stream })] });
  scene.answer(request, {});
  scene.ledger.powerLost();
  scene.files({});
});

test('lines of others that the daemon told of stay', found, 'lost', (scene) => {
  const stream = 'turns/sf';
  const request = scene.request({ operation: 'foreign', events: [turn('a', { stream })] });
  scene.answer(request, {});
  scene.view(stream, [told('a', { stream })]);
  scene.ledger.powerLost();
  scene.files({});
});

test('lost: acknowledged and not there', found, 'lost', (scene) => {
  scene.acked(turn('a'));
  scene.acked(turn('b'));
  scene.files({ [SESSION]: [held('a')] });
});

test('lost: what another was refused for', found, 'lost', (scene) => {
  scene.answer(scene.request({ events: [turn('a', { type: 'completed' })] }), unknown);
  const late = scene.request({ events: [turn('b')], unlessTerminal: true });
  const row = at('a', { generation: 0, position: 0, checksum: null });
  scene.answer(late, { outcome: 'not-committed', code: 'TURN_TERMINAL', rows: [row] });
  scene.files({});
});

test('lost: the whole stream', found, 'lost', (scene) => {
  scene.acked(turn('a'));
  scene.files({});
});

test(
  'lost: told to a subscriber and not there, though nobody was answered',
  found,
  'lost',
  (scene) => {
    scene.request({ events: [turn('a')] });
    scene.view(SESSION, [told('a')]);
    scene.files({});
  },
);

test('outcome: refused and there', found, 'outcome', (scene) => {
  scene.answer(scene.request({ events: [turn('a')] }), refused);
  scene.files({ [SESSION]: [held('a')] });
});

test('outcome: seen, then refused', found, 'outcome', (scene) => {
  const request = scene.request({ events: [turn('a')] });
  scene.files({ [SESSION]: [held('a')] });
  scene.answer(request, refused);
  scene.ledger.checkOutcomes();
});

test('outcome: not made by putIfAbsent and there', found, 'outcome', (scene) => {
  scene.acked(run('a', { type: 'once' }), {}, { operation: 'put' });
  const request = scene.request({
    operation: 'absent',
    events: [run('b', { type: 'once', run: 'r1' })],
  });
  scene.answer(request, { ...refused });
  const second = scene.request({ operation: 'absent', events: [run('c', { type: 'once' })] });
  scene.answer(second, { created: false, rows: [at('a')] });
  const rows = ['a', 'b', 'c'].map((id) =>
    held(id, { run: id === 'b' ? 'r1' : 'r0', type: 'token' }),
  );
  scene.files({ [THREAD]: rows });
});

test('submitted: nobody asked for it', found, 'submitted', (scene) => {
  scene.files({ [SESSION]: [held('a')] });
});

test('batch: half of it is there', found, 'batch', (scene) => {
  const other = run('b', { stream: 'runs/t1' });
  scene.request({ operation: 'put', events: [run('a'), other] });
  scene.files({ [THREAD]: [held('a', { run: 'r0' })] });
});

test('batch: its events were committed apart', found, 'batch', (scene) => {
  const request = scene.request({ operation: 'put', events: [run('a'), run('b')] });
  scene.answer(request, { rows: [at('a'), at('b', { position: 3 })] });
});

test('batch: a part of it that was deleted is missed by nobody', accepted, (scene) => {
  const other = run('b', { stream: 'runs/td' });
  scene.request({ operation: 'put', events: [run('a'), other] });
  scene.request({ operation: 'delete', stream: 'runs/td', run: 'r0' });
  scene.files({ [THREAD]: [held('a', { run: 'r0' })] });
});

test('once: the same event twice', found, 'once', (scene) => {
  scene.request({ events: [turn('a')] });
  scene.request({ events: [turn('a', {})], key: 'k' });
  const ledger = scene.ledger;
  const due = dueNow(ledger);
  // In two files: their places are not known yet, so nothing else is wrong with it.
  const rows = [held('a', { seq: 0 }), held('a', { seq: 0 })];
  checkHeld(ledger, {
    by: 'files',
    held: [{ stream: SESSION, generation: 0, rows }],
    due,
    isWhole: true,
  });
});

test('place: a seq that another event had', found, 'place', (scene) => {
  scene.acked(turn('a'));
  scene.request({ events: [turn('ba')] });
  scene.view(SESSION, [told('ba')]);
});

test('place: another seq than it was answered', found, 'place', (scene) => {
  scene.acked(turn('a'));
  scene.acked(turn('b'), {}, { client: 'w1.0' });
  scene.files({ [SESSION]: [held('b', { seq: 1 }), held('a', { seq: 2 })] });
});

test('place: another text', found, 'place', (scene) => {
  scene.acked(turn('a'));
  scene.files({ [SESSION]: [held('a', { checksum: 7 })] });
});

test('place: another life', found, 'place', (scene) => {
  scene.acked(turn('a'));
  scene.view(SESSION, [told('a', { generation: 5 })]);
});

test('place: another run’s file', found, 'place', (scene) => {
  scene.acked(run('a'));
  scene.files({ [THREAD]: [held('a', { run: 'r1' })] });
});

test('place: another stream', found, 'place', (scene) => {
  scene.request({ events: [turn('a')] });
  scene.files({ 'turns/s1': [held('a')] });
});

test('place: a retry by its key is answered with another result', found, 'place', (scene) => {
  scene.acked(turn('a'), {}, { key: 'k' });
  const again = scene.request({ events: [turn('a')], key: 'k' });
  scene.answer(again, { rows: [at('a', { seq: 2, position: 2 })], duplicate: false });
});

test('dense: a gap', found, 'dense', (scene) => {
  for (const id of ['a', 'c']) scene.request({ events: [turn(id)] });
  scene.files({ [SESSION]: [held('a'), held('c')] });
});

test(
  'dense: a gap in a thread whose runs are deleted, where nothing was deleted',
  found,
  'dense',
  (scene) => {
    const stream = 'runs/td';
    for (const id of ['a', 'c']) scene.request({ events: [run(id, { stream })] });
    scene.files({ [stream]: [held('a', { run: 'r0' }), held('c', { run: 'r0' })] });
  },
);

test('dense: the same seq twice', found, 'dense', (scene) => {
  for (const id of ['a', 'ba']) scene.request({ events: [turn(id)] });
  scene.files({ [SESSION]: [held('a'), held('ba')] });
});

test('order: not as it was called', found, 'order', (scene) => {
  for (const id of ['b', 'a']) scene.request({ events: [turn(id)] });
  scene.files({ [SESSION]: [held('a'), held('b')] });
});

test('order: events of a batch', found, 'order', (scene) => {
  scene.request({ operation: 'put', events: [run('b'), run('a')] });
  const rows = ['a', 'b'].map((id) => held(id, { run: 'r0' }));
  scene.files({ [THREAD]: rows });
});

test('deleted: it is back', found, 'deleted', (scene) => {
  scene.acked(turn('a'));
  scene.answer(scene.request({ operation: 'delete', stream: SESSION, run: null }), { count: 1 });
  scene.files({ [SESSION]: [held('a')] });
});

test('absent: two events of which one at most was absent', found, 'absent', (scene) => {
  for (const id of ['a', 'b'])
    scene.request({ operation: 'absent', events: [run(id, { type: 'once' })] });
  const rows = ['a', 'b'].map((id) => held(id, { run: 'r0', type: 'once' }));
  scene.files({ [THREAD]: rows });
});

test('absent: what was found is of another run', found, 'absent', (scene) => {
  scene.acked(run('a', { run: 'r1', type: 'once' }));
  const request = scene.request({ operation: 'absent', events: [run('b', { type: 'once' })] });
  scene.answer(request, { created: false, rows: [at('a')] });
});

test('turn: one stream id in two turns', found, 'turn', (scene) => {
  for (const id of ['a', 'b']) scene.request({ events: [turn(id, { by: 'x' })] });
  const rows = [held('a', { by: 'x', turn: 't1' }), held('b', { by: 'x', turn: 't2' })];
  scene.files({ [SESSION]: rows });
});

test('terminal: a turn that ended twice', found, 'terminal', (scene) => {
  for (const id of ['a', 'b']) scene.request({ events: [turn(id)] });
  const rows = ['a', 'b'].map((id) => held(id, { type: 'completed', turn: 't1' }));
  scene.files({ [SESSION]: rows });
});

test('states of turns, and what is pending', accepted, ({ ledger }) => {
  const rows = [held('a', { turn: 't1' }), held('b', { turn: 't2' }), held('c', { turn: null })];
  const end = held('d', { turn: 't1', type: 'completed' });
  const said = { states: ['t2', 't1'], pending: ['t2'] };
  checkTurnStates(ledger, 's0', [...rows, end], said);
});

test('states: a turn that has ended is pending', found, 'states', ({ ledger }) => {
  const rows = [held('a', { turn: 't1', type: 'interrupted' })];
  checkTurnStates(ledger, 's0', rows, { states: ['t1'], pending: ['t1'] });
});

test('states: a turn has no state', found, 'states', ({ ledger }) => {
  const rows = [held('a', { turn: 't1', type: 'interrupted' })];
  checkTurnStates(ledger, 's0', rows, { states: [], pending: [] });
});

test('stamp: the clock went back and so did the stamps', found, 'stamp', (scene) => {
  for (const id of ['a', 'b']) scene.request({ events: [turn(id)] });
  scene.files({ [SESSION]: [held('a', { stamp: 10 }), held('b', { stamp: 9.5 })] });
});

test('expected: another seq than the one after it', found, 'expected', (scene) => {
  scene.acked(turn('b'), {}, { expectedSeq: 0 });
});

test('answer: fewer events than were asked for', found, 'answer', (scene) => {
  const request = scene.request({ operation: 'put', events: [run('a'), run('b')] });
  scene.answer(request, { rows: [at('a')] });
});

test('answer: another event', found, 'answer', (scene) => {
  scene.answer(scene.request({ events: [turn('a')] }), { rows: [at('b')] });
});

test('visible: a page lacks what was acknowledged before', found, 'visible', (scene) => {
  for (const id of ['a', 'b']) scene.acked(turn(id));
  const read = { operation: 'read', stream: SESSION, afterSeq: 0, limit: 5 } as const;
  scene.answer(scene.request(read), { generation: 1, rows: [at('a')] });
});

test('dense: a page with a gap', found, 'dense', (scene) => {
  for (const id of ['a', 'b', 'c']) scene.acked(turn(id));
  const read = { operation: 'read', stream: SESSION, afterSeq: 0, limit: 2 } as const;
  scene.answer(scene.request(read), { generation: 1, rows: [at('a'), at('c')] });
});

test('code: a refusal that nothing explains', found, 'code', (scene) => {
  const answer = { outcome: 'not-committed', code: 'PROTOCOL' } as const;
  scene.answer(scene.request({ events: [turn('a')] }), answer);
});

test('code: a full disk, although no disk was full', found, 'code', (scene) => {
  const answer = { outcome: 'not-committed', code: 'STORAGE_FULL' } as const;
  scene.answer(scene.request({ events: [turn('a')] }), answer);
});

test('a subscriber over a kill, a deletion and a filter', accepted, (scene) => {
  for (const id of ['a', 'b', 'c']) scene.acked(run(id, { run: id === 'b' ? 'r1' : 'r0' }));
  const one = { stream: THREAD, run: 'r0' };
  const end: Told = { kind: 'ended', stream: THREAD, run: null, code: 'STREAM_DELETED', at: '0-0' };
  scene.answer(scene.request({ operation: 'delete', stream: THREAD, run: null }), { count: 3 });
  scene.acked(run('ba'), { generation: 9, position: 9 });
  const entries = [told('a', one), told('c', one), end, told('ba', { ...one, generation: 9 })];
  scene.view(THREAD, entries, { runId: 'r0' });
});

test('view: a subscriber with a gap', found, 'view', (scene) => {
  for (const id of ['a', 'b', 'c']) scene.acked(turn(id));
  scene.view(SESSION, [told('a'), told('c')]);
});

test('view: a subscriber that lacks the first event', found, 'view', (scene) => {
  for (const id of ['a', 'b']) scene.acked(turn(id));
  scene.view(SESSION, [told('b')]);
});

test('view: a subscriber that got an event twice', found, 'view', (scene) => {
  scene.acked(turn('a'));
  scene.view(SESSION, [told('a'), told('a')]);
});

test('view: a subscriber that went back', found, 'view', (scene) => {
  for (const id of ['a', 'b']) scene.acked(turn(id));
  scene.view(SESSION, [told('a'), told('b'), told('a')]);
});

test('view: a filtered subscriber that lacks what it asked for', found, 'view', (scene) => {
  for (const id of ['a', 'b', 'c']) scene.acked(run(id));
  const one = { stream: THREAD, run: 'r0' };
  scene.view(THREAD, [told('a', one), told('c', one)], { runId: 'r0' });
});

test('everything, with a deletion that took one event', accepted, (scene) => {
  scene.acked(turn('a'));
  scene.answer(scene.request({ operation: 'delete', stream: SESSION, run: null }), { count: 1 });
  const end: Told = { kind: 'ended', stream: SESSION, run: null, code: null, at: '2' };
  scene.view(null, [told('a'), end]);
});

test('view: everything lacks what was acknowledged', found, 'view', (scene) => {
  for (const id of ['a', 'b']) scene.acked(turn(id));
  scene.view(null, [told('a')]);
});

test('view: everything, but not in the order of positions', found, 'view', (scene) => {
  scene.acked(turn('a'), { position: 8 });
  scene.acked(turn('b'), { position: 4 });
  scene.view(null, [told('a', { at: '8' }), told('b', { at: '4' })]);
});

test('count: a deletion that tells of more than there was', found, 'count', (scene) => {
  scene.acked(turn('a'));
  scene.answer(scene.request({ operation: 'delete', stream: SESSION, run: null }), { count: 2 });
  const end: Told = { kind: 'ended', stream: SESSION, run: null, code: null, at: '2' };
  scene.view(null, [told('a'), end]);
});
