import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { Lane } from '../../../daemon/commit/lanes.js';
import { LogTail } from '../../../daemon/commit/log-tail.js';
import { layoutOf } from '../../../daemon/storage/layout.js';
import type { SegmentResult, SegmentTask } from '../../../daemon/workers/segment.worker.js';
import { SEGMENT_BYTES_MIN, SEGMENT_FILL_BYTES } from '../../../shared/limits.js';
import { makeFolder } from '../../support/daemon.js';

const FRAME_BYTES = SEGMENT_BYTES_MIN / 2;

test('a segment that is being closed still belongs to the log', async (t) => {
  const layout = layoutOf(join(await makeFolder(t), 'd'));
  mkdirSync(layout.log, { recursive: true });
  const lane = new Lane<SegmentTask, SegmentResult>('segment.worker.js', (error) => {
    t.fail(error.message);
  });
  const log = new LogTail({
    layout,
    lane,
    segmentBytes: SEGMENT_BYTES_MIN,
    fillBytes: () => SEGMENT_FILL_BYTES,
    epoch: 1,
    lastPosition: 0,
    closed: [],
    onFailure: ({ message }) => t.fail(message),
  });
  t.teardown(async () => {
    await log.close(false);
    await lane.close();
  });
  let rolls = 0;
  for (let position = 1; position <= 8; position += 1) {
    const before = log.segments.map(({ firstPosition }) => firstPosition);
    let isOver = false;
    const reserved = log.reserve(FRAME_BYTES, position, false).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const now = log.segments.map(({ firstPosition }) => firstPosition);
      t.deepEqual(now.slice(0, before.length), before);
      await turn();
    }
    t.is(await reserved, null);
    log.advance(FRAME_BYTES, position);
    rolls += log.segments.length - before.length;
  }
  t.true(rolls > 4);
});
