import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { decideLogEnd, LOG_TABLE, type LogAction } from '../../../daemon/recovery/log-table.js';
import { type LogContent, readLog } from '../../../daemon/recovery/read-log.js';
import { encodeFileHeader, encodeFrameOnDisk } from '../../../daemon/storage/frame-format.js';
import { layoutOf, segmentPath } from '../../../daemon/storage/layout.js';
import { FormatVersionError, LogCorruptError } from '../../../shared/errors.js';
import { makeFolder } from '../../support/daemon.js';

const ROOM = Buffer.alloc(256);

/** A frame of one position. */
function frame(position: number, { frontier = position - 1, epoch = 1 } = {}): Buffer {
  const header = { epoch, firstPosition: position, lastPosition: position, frontier };
  return Buffer.from(encodeFrameOnDisk(header, Buffer.from(`payload ${position}`)));
}

/** A frame of which only the beginning came to the disk. */
function torn(position: number): Buffer {
  const whole = frame(position);
  return Buffer.concat([whole.subarray(0, 50), Buffer.alloc(whole.length - 50)]);
}

function segment(firstPosition: number, follows: number, ...parts: Buffer[]): Buffer {
  const header = { kind: 'EVLOGSEG', format: 1, epoch: 1, firstPosition, follows } as const;
  return Buffer.concat([encodeFileHeader({ ...header, number: 0 }), ...parts, ROOM]);
}

interface Scene {
  readonly segments: readonly Buffer[];
  /** The last position that the catalog covers. */
  readonly covered?: number;
  /** The positions that are read. */
  readonly positions: readonly number[];
}

const START = segment(1, 0, frame(1), frame(2));

/** For each row of the table, logs that it is for. */
const SCENES: Readonly<Record<string, readonly Scene[]>> = {
  'zeros after the last frame: the log ends': [
    { segments: [START], positions: [1, 2] },
    { segments: [START], covered: 2, positions: [1, 2] },
    { segments: [segment(1, 0)], positions: [] },
  ],
  'zeros where a durable frame is due: corrupt': [
    { segments: [START], covered: 3, positions: [1, 2] },
    { segments: [segment(1, 0, frame(1), Buffer.alloc(64), frame(3))], positions: [1] },
  ],
  'a full segment that the next one follows: go on': [
    { segments: [START, segment(3, 2, frame(3))], positions: [1, 2, 3] },
    { segments: [START, segment(70, 2, frame(70))], covered: 70, positions: [1, 2, 70] },
  ],
  'a segment that ends before the next one begins: corrupt': [
    { segments: [START, segment(4, 3, frame(4))], positions: [1, 2] },
  ],
  'a bad frame that was durable: corrupt': [
    { segments: [segment(1, 0, torn(1), frame(2, { frontier: 1 }))], positions: [] },
    { segments: [segment(1, 0, frame(1), torn(2))], covered: 2, positions: [1] },
    { segments: [segment(1, 0, frame(1), frame(7, { frontier: 6 }))], positions: [1] },
    { segments: [segment(1, 0, torn(1)), segment(2, 1, frame(2))], covered: 2, positions: [] },
  ],
  'bytes behind the last frame of a segment that the next one follows: torn': [
    { segments: [segment(1, 0, frame(1), torn(2)), segment(70, 1, frame(70))], positions: [1, 70] },
  ],
  'a bad frame before a segment that does not follow: corrupt': [
    { segments: [segment(1, 0, frame(1), torn(2)), segment(3, 2, frame(3))], positions: [1] },
  ],
  'a bad frame past the durable frontier: torn': [
    { segments: [segment(1, 0, frame(1), torn(2))], positions: [1] },
    { segments: [segment(1, 0, frame(1), torn(2))], covered: 1, positions: [1] },
    // An older frame behind it that a crash before left proves nothing.
    { segments: [segment(1, 0, frame(1), torn(2), frame(3, { frontier: 1 }))], positions: [1] },
    { segments: [segment(1, 0, frame(1), frame(7, { frontier: 1 }))], positions: [1] },
    {
      segments: [segment(1, 0, frame(1, { epoch: 2 }), frame(2, { epoch: 1 }))],
      positions: [1],
    },
    { segments: [segment(1, 0, frame(1), Buffer.from('anything'))], positions: [1] },
  ],
};

async function read(
  t: ExecutionContext,
  { segments, covered = 0 }: Scene,
): Promise<{ readonly content: LogContent | LogCorruptError; readonly positions: number[] }> {
  const layout = layoutOf(join(await makeFolder(t), 'd'));
  mkdirSync(layout.log, { recursive: true });
  for (const [at, bytes] of segments.entries()) {
    // The number stands in the header, under its checksum.
    const firstPosition = Number(bytes.readBigUInt64LE(24));
    const follows = Number(bytes.readBigUInt64LE(40));
    const header = { kind: 'EVLOGSEG', format: 1, epoch: 1, firstPosition, follows } as const;
    bytes.set(encodeFileHeader({ ...header, number: at + 1 }));
    writeFileSync(segmentPath(layout, at + 1), bytes);
  }
  const positions: number[] = [];
  try {
    const content = readLog(layout, covered, ({ header }) => positions.push(header.lastPosition));
    return { content, positions };
  } catch (error) {
    if (!(error instanceof LogCorruptError)) throw error;
    return { content: error, positions };
  }
}

function actionOf({ content, positions }: Awaited<ReturnType<typeof read>>): LogAction {
  if (content instanceof LogCorruptError) return 'corrupt';
  if (content.segments.some((one) => one.torn !== null)) return 'torn';
  return content.segments.length > 1 && positions.length > 2 ? 'next-segment' : 'done';
}

for (const { name, action } of LOG_TABLE) {
  test(`log: ${name}`, async (t) => {
    const scenes = SCENES[name] ?? [];
    t.true(scenes.length > 0, 'each row has its scenes');
    for (const scene of scenes) {
      const done = await read(t, scene);
      t.is(actionOf(done), action);
      t.deepEqual(done.positions, [...scene.positions]);
    }
  });
}

test('every scene belongs to a row', (t) => {
  t.deepEqual(Object.keys(SCENES).sort(), LOG_TABLE.map(({ name }) => name).sort());
});

test('the table decides every case, and each of its rows some', (t) => {
  const used = new Set<LogAction>();
  const reached = new Set<string>();
  for (const found of ['end', 'bad'] as const) {
    for (const later of ['none', 'follows', 'gap'] as const) {
      for (const durable of [true, false]) {
        used.add(decideLogEnd({ found, later, durable }));
        const row = LOG_TABLE.find(
          (one) =>
            [found, 'any'].includes(one.found) &&
            [later, 'any'].includes(one.later) &&
            [durable, 'any'].includes(one.durable),
        );
        reached.add(row?.name ?? '');
      }
    }
  }
  t.is(used.size, 4);
  t.deepEqual([...reached].sort(), LOG_TABLE.map(({ name }) => name).sort());
});

test('corruption names file and offset', async (t) => {
  const { content } = await read(t, { segments: [START], covered: 3, positions: [] });
  t.true(content instanceof LogCorruptError);
  if (!(content instanceof LogCorruptError)) return;
  t.is(content.offset, 64 + frame(1).length + frame(2).length);
  t.regex(content.file, /0000000000000001\.log$/);
  t.regex(content.message, /eventlogd verify/);
});

test('a log of a later format is refused as such', async (t) => {
  const layout = layoutOf(join(await makeFolder(t), 'd'));
  mkdirSync(layout.log, { recursive: true });
  const header = { kind: 'EVLOGSEG', format: 2, number: 1, epoch: 1 } as const;
  writeFileSync(
    segmentPath(layout, 1),
    encodeFileHeader({ ...header, firstPosition: 1, follows: 0 }),
  );
  t.throws(() => readLog(layout, 0, () => {}), { instanceOf: FormatVersionError });
});

test('segments that do not reach back to what the catalog covers are corruption', async (t) => {
  const later = await read(t, { segments: [segment(9, 8, frame(9))], covered: 5, positions: [] });
  t.true(later.content instanceof LogCorruptError);
  const none = await read(t, { segments: [], covered: 5, positions: [] });
  t.true(none.content instanceof LogCorruptError);
});
