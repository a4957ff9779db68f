import test from 'ava';
import * as client from '../../client/index.js';

test('the public surface is what the design says, and no more', (t) => {
  const errors = [
    'AbortedError',
    'ClientClosedError',
    'CursorExpiredError',
    'DisconnectedError',
    'DrainingError',
    'EventLogError',
    'EventTooLargeError',
    'FormatVersionError',
    'IdempotencyKeyReusedError',
    'InvalidArgumentError',
    'InvalidEventError',
    'InvalidIdError',
    'LockHeldError',
    'LogCorruptError',
    'OverloadedError',
    'PositionExpiredError',
    'ProtocolError',
    'ProtocolVersionError',
    'SequenceConflictError',
    'StorageFailedError',
    'StorageFullError',
    'StreamDeletedError',
    'StreamFencedError',
    'TimeoutError',
    'TurnTerminalError',
  ];
  const sse = ['lastEventCursor', 'lastEventPosition', 'serveSse'];
  const names = ['PROTOCOL_VERSION', 'connect', 'detailsOf', 'formatCursor', 'parseCursor', ...sse];
  t.deepEqual(Object.keys(client).sort(), [...errors, ...names].sort());
});

test('a code narrows an error to its class', (t) => {
  const show = (error: client.AnyEventLogError): unknown => {
    if (error.code === 'SEQUENCE_CONFLICT') return error.actualSeq;
    if (error.code === 'TURN_TERMINAL') return error.event;
    return error.outcome;
  };
  t.is(show(new client.SequenceConflictError(7, 'no')), 7);
  t.deepEqual(show(new client.TurnTerminalError({ seq: 1 }, 'no')), { seq: 1 });
  t.is(show(new client.ClientClosedError('no', 'unknown')), 'unknown');
});

test('cursors have a text form', (t) => {
  t.is(client.formatCursor({ generation: 12, seq: 7 }), '12-7');
  t.deepEqual(client.parseCursor('12-7'), { generation: 12, seq: 7 });
  for (const text of ['', '12', '-1-2', '1-2-3', '01-2', '1.5-2', '12-7\n', '9999999999999999-1']) {
    t.throws(() => client.parseCursor(text), { instanceOf: client.InvalidArgumentError }, text);
  }
});
