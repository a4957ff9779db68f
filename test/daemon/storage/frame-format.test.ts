import test from 'ava';
import fc from 'fast-check';
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeFrameOnDisk,
  FILE_HEADER_BYTES,
  type FileHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  frameAt,
  frameLength,
  nextWholeFrame,
} from '../../../daemon/storage/frame-format.js';

const HEADER: FrameHeader = { epoch: 2, firstPosition: 3, lastPosition: 4, frontier: 1 };

function headers(): fc.Arbitrary<FrameHeader> {
  return fc.record({
    epoch: fc.maxSafeNat(),
    firstPosition: fc.maxSafeNat(),
    lastPosition: fc.maxSafeNat(),
    frontier: fc.maxSafeNat(),
  });
}

function fileHeaders(): fc.Arbitrary<FileHeader> {
  return fc.record({
    kind: fc.constantFrom('EVLOGSEG', 'EVLOGCAT'),
    format: fc.nat(),
    number: fc.maxSafeNat(),
    firstPosition: fc.maxSafeNat(),
    epoch: fc.maxSafeNat(),
    follows: fc.maxSafeNat(),
  });
}

function payloads(): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ maxLength: 200 });
}

test('frames come back whole, wherever they begin', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(headers(), payloads()), { maxLength: 5 }),
      fc.nat(50),
      (frames, room) => {
        const bytes = Buffer.concat([
          ...frames.map(([header, payload]) => encodeFrameOnDisk(header, payload)),
          Buffer.alloc(room),
        ]);
        let at = 0;
        for (const [header, payload] of frames) {
          const found = frameAt(bytes, at);
          if (found.kind !== 'frame') throw new Error(`no frame at ${at}`);
          t.deepEqual(found.header, header);
          t.deepEqual(Buffer.from(found.payload), Buffer.from(payload));
          t.is(found.end, at + frameLength(payload.length));
          t.is(found.end % 8, 0);
          at = found.end;
        }
        t.is(frameAt(bytes, at).kind, 'end');
      },
    ),
  );
});

test('every flipped bit of a frame is found', (t) => {
  for (const length of [0, 1, 7, 8, 40]) {
    const payload = Buffer.alloc(length, 0x5a);
    const whole = Buffer.concat([
      encodeFrameOnDisk(HEADER, payload),
      encodeFrameOnDisk({ ...HEADER, firstPosition: 5 }, payload),
      Buffer.alloc(64),
    ]);
    for (let bit = 0; bit < frameLength(length) * 8; bit += 1) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      if (frameAt(bytes, 0).kind !== 'bad') t.fail(`bit ${bit} of a payload of ${length}`);
    }
  }
  t.pass();
});

test('a frame cut or zeroed at any byte is bad, or not there', (t) => {
  fc.assert(
    fc.property(payloads(), (payload) => {
      const whole = Buffer.from(encodeFrameOnDisk(HEADER, payload));
      for (let at = 0; at < whole.length; at += 1) {
        t.is(frameAt(whole.subarray(0, at), 0).kind, at === 0 ? 'end' : 'bad');
        const zeroed = Buffer.concat([whole.subarray(0, at), Buffer.alloc(whole.length - at + 80)]);
        const isSame = zeroed.subarray(0, whole.length).equals(whole);
        t.is(frameAt(zeroed, 0).kind, isSame ? 'frame' : at === 0 ? 'end' : 'bad');
      }
    }),
    { numRuns: 20 },
  );
});

test('the next whole frame is found behind anything', (t) => {
  fc.assert(
    fc.property(payloads(), fc.uint8Array({ maxLength: 90 }), (payload, before) => {
      const frame = encodeFrameOnDisk(HEADER, payload);
      const offset = Math.ceil(before.length / 8) * 8;
      const bytes = Buffer.concat([before, Buffer.alloc(offset - before.length), frame]);
      t.deepEqual(nextWholeFrame(bytes, 0), { header: HEADER, offset, end: bytes.length });
      t.is(nextWholeFrame(bytes, offset + 1), null);
      t.is(nextWholeFrame(bytes.subarray(0, -1), 0), null);
    }),
  );
  const misaligned = Buffer.concat([Buffer.alloc(4), encodeFrameOnDisk(HEADER, new Uint8Array(9))]);
  t.is(nextWholeFrame(misaligned, 0), null);
});

test('file headers come back, and no flipped bit passes', (t) => {
  fc.assert(
    fc.property(fileHeaders(), (header) =>
      t.deepEqual(decodeFileHeader(encodeFileHeader(header)), header),
    ),
  );
  const header = { format: 1, number: 2, firstPosition: 3, epoch: 4, follows: 5 };
  const whole = encodeFileHeader({ kind: 'EVLOGSEG', ...header });
  for (let bit = 0; bit < whole.length * 8; bit += 1) {
    const bytes = Uint8Array.from(whole);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    if (decodeFileHeader(bytes) !== null) t.fail(`bit ${bit}`);
  }
  t.is(decodeFileHeader(whole.subarray(0, -1)), null);
  t.is(decodeFileHeader(new Uint8Array(FILE_HEADER_BYTES)), null);
});

test('format 1: the bytes of a file header and of a frame', (t) => {
  const header = encodeFileHeader({
    kind: 'EVLOGSEG',
    format: 1,
    number: 2,
    firstPosition: 3,
    epoch: 4,
    follows: 2 ** 40,
  });
  t.is(
    Buffer.from(header).toString('hex'),
    [
      '45564c4f47534547 ff005052 01000000',
      '0200000000000000 0300000000000000 0400000000000000 0000000000010000',
      '00'.repeat(16),
    ]
      .join('')
      .replaceAll(' ', ''),
  );
  const frame = encodeFrameOnDisk(HEADER, Buffer.from('abc'));
  t.is(frame.length, FRAME_HEADER_BYTES + 8);
  t.is(
    Buffer.from(frame).toString('hex'),
    [
      '45564c46 03000000 5223dbb1 00000000',
      '0200000000000000 0300000000000000 0400000000000000 0100000000000000',
      '616263 0000000000',
    ]
      .join('')
      .replaceAll(' ', ''),
  );
});
