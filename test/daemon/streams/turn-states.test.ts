import test from 'ava';
import fc from 'fast-check';
import { lineFacts, type TurnRowKind } from '../../../daemon/storage/line-facts.js';
import { TurnStates } from '../../../daemon/streams/turn-states.js';

interface Line {
  readonly event?: string;
  readonly turn_id?: string | number | null;
  readonly stream_id?: string;
  readonly created_at?: unknown;
}

function lines(): fc.Arbitrary<Line[]> {
  const line = fc.record(
    {
      event: fc.constantFrom('submitted', 'note', 'completed', 'interrupted'),
      turn_id: fc.constantFrom('a', ' a ', 'b', '__proto__', '', '  ', null, 7, '7'),
      stream_id: fc.constantFrom('x', 'y'),
      created_at: fc.oneof(fc.integer({ min: -2, max: 4 }), fc.constantFrom('9', null, 1.5)),
    },
    { requiredKeys: [] },
  );
  return fc.array(line, { maxLength: 30, size: 'max' });
}

/** DESIGN's words for the turn that a line belongs to; blank for none. */
function turnOf({ turn_id }: Line): string {
  return turn_id === undefined || turn_id === null ? '' : String(turn_id).trim();
}

function createdAt({ created_at }: Line): number {
  return typeof created_at === 'number' && Number.isFinite(created_at) ? created_at : 0;
}

test('states, ends, first submissions and the turns of streams are those of the lines', (t) => {
  fc.assert(
    fc.property(lines(), (all) => {
      const states = new TurnStates();
      for (const [row, line] of all.entries()) {
        const facts = lineFacts('turns', Buffer.from(JSON.stringify(line)));
        if (facts === null) throw new Error('the line is malformed');
        states.add(row, facts.kind as TurnRowKind, facts.createdAt);
      }
      const rows = [...all.keys()].filter((row) => turnOf(all[row] as Line) !== '');
      const turns = [...new Set(rows.map((row) => turnOf(all[row] as Line)))];
      t.deepEqual([...states.turns.keys()], turns);
      for (const turn of turns) {
        const own = rows.filter((row) => turnOf(all[row] as Line) === turn);
        const greatest = Math.max(...own.map((row) => createdAt(all[row] as Line)));
        const state = states.turns.get(turn);
        t.is(
          state?.latest,
          own.findLast((row) => createdAt(all[row] as Line) === greatest),
        );
        t.is(state?.submitted, own.find((row) => all[row]?.event === 'submitted') ?? null);
        const ends = own.filter((row) =>
          ['completed', 'interrupted'].includes(all[row]?.event ?? ''),
        );
        t.deepEqual(
          state?.terminals.map(({ row }) => row),
          ends,
        );
        t.is(states.terminalOf(turn), ends[0]);
      }
      for (const stream of ['x', 'y']) {
        const latest = rows.findLast((row) => all[row]?.stream_id === stream);
        const expected = latest === undefined ? undefined : turnOf(all[latest] as Line);
        t.is(states.turnOfStream(stream), expected);
      }
    }),
    { numRuns: 500 },
  );
});
