/** Which health is told of two, and where the states of a disk's room begin and end. */
import test from 'ava';
import {
  type CommitHealth,
  type RoomHealth,
  roomAfter,
  takesAppends,
  type WriteHealth,
  worseOf,
} from '../../../daemon/commit/health-table.js';
import { DISK_RESERVE_BYTES_DEFAULT, roomLimits } from '../../../shared/limits.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Rows: what writing met; columns: what was measured. */
const TOLD: Readonly<Record<WriteHealth, Readonly<Record<RoomHealth, CommitHealth>>>> = {
  ok: { ok: 'ok', 'disk-low': 'disk-low', 'disk-full': 'disk-full' },
  'files-behind': {
    ok: 'files-behind',
    'disk-low': 'files-behind',
    'disk-full': 'files-behind',
  },
  'log-full': { ok: 'log-full', 'disk-low': 'log-full', 'disk-full': 'log-full' },
  failed: { ok: 'failed', 'disk-low': 'failed', 'disk-full': 'failed' },
};

for (const [writes, columns] of Object.entries(TOLD)) {
  for (const [room, told] of Object.entries(columns)) {
    test(`writes ${writes}, room ${room}: ${told}`, (t) => {
      t.is(worseOf(writes as WriteHealth, room as RoomHealth), told);
      t.is(takesAppends(told), told === 'ok' || told === 'disk-low');
    });
  }
}

/** With a reserve of 10: full below 10 until 20, low below 40 until 60. */
const LOOKS: readonly (readonly [before: RoomHealth, free: number, after: RoomHealth])[] = [
  ['ok', 40, 'ok'],
  ['ok', 39, 'disk-low'],
  ['ok', 10, 'disk-low'],
  ['ok', 9, 'disk-full'],
  ['ok', 0, 'disk-full'],
  ['disk-low', 60, 'ok'],
  ['disk-low', 59, 'disk-low'],
  ['disk-low', 10, 'disk-low'],
  ['disk-low', 9, 'disk-full'],
  ['disk-full', 19, 'disk-full'],
  ['disk-full', 20, 'disk-low'],
  ['disk-full', 59, 'disk-low'],
  ['disk-full', 60, 'ok'],
];

for (const [before, free, after] of LOOKS) {
  test(`${before}, ${free} free beside a reserve of 10: ${after}`, (t) => {
    t.is(roomAfter(before, free, roomLimits(1_000, 10)), after);
  });
}

test('the reserve is at most a twentieth of the file system, and its limits are in order', (t) => {
  const fullBelow = (size: number, reserve: number): number =>
    roomLimits(size, reserve).fullBelowBytes;
  t.is(fullBelow(100 * GIB, DISK_RESERVE_BYTES_DEFAULT), 64 * MIB);
  t.is(fullBelow(1 * GIB, DISK_RESERVE_BYTES_DEFAULT), Math.floor(GIB / 20));
  t.is(fullBelow(2 * MIB, DISK_RESERVE_BYTES_DEFAULT), Math.floor((2 * MIB) / 20));
  t.is(fullBelow(100 * GIB, 100 * GIB), 5 * GIB);
  for (const size of [2 * MIB, GIB, 100 * GIB]) {
    const limits = roomLimits(size, DISK_RESERVE_BYTES_DEFAULT);
    t.true(limits.fullBelowBytes < limits.fullUntilBytes);
    t.true(limits.fullUntilBytes <= limits.lowBelowBytes);
    t.true(limits.lowBelowBytes < limits.lowUntilBytes);
    t.true(limits.lowUntilBytes <= (size * 3) / 10);
  }
});

test('without a reserve nothing that is free is too little', (t) => {
  for (const before of ['ok', 'disk-low', 'disk-full'] as const)
    t.is(roomAfter(before, 0, roomLimits(2 * MIB, 0)), 'ok');
});
