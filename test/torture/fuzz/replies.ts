/** What a daemon may say to a client, whatever the client said: everything else is a finding. */
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { ErrorCode } from '../../../shared/errors.js';

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Bytes = Type.Refine(Type.Unknown(), (value) => value instanceof Uint8Array);
const optional = Type.Optional;
const closed = <T extends Readonly<Record<string, TSchema>>>(members: T) =>
  Type.Object(members, { additionalProperties: false });

/**
 * The refusals that messages alone can bring about. Not among them: what only a disk, a drain or
 * the daemon's own mistake can, `STORAGE_FAILED` first of all.
 */
const CODES: readonly ErrorCode[] = [
  'INVALID_ARGUMENT',
  'INVALID_ID',
  'INVALID_EVENT',
  'EVENT_TOO_LARGE',
  'SEQUENCE_CONFLICT',
  'TURN_TERMINAL',
  'IDEMPOTENCY_KEY_REUSED',
  'STREAM_DELETED',
  'CURSOR_EXPIRED',
  'POSITION_EXPIRED',
  'OVERLOADED',
  'PROTOCOL',
  'PROTOCOL_VERSION',
];

const Cursor = closed({ generation: Count, seq: Count });
const ErrorOf = Type.Object({
  code: Type.Enum([...CODES]),
  message: Type.String({ minLength: 1, maxLength: 2000 }),
  outcome: Type.Enum(['not-committed', 'unknown']),
});
const Row = closed({
  text: Type.Union([Bytes, Type.Null()]),
  seq: Count,
  generation: Count,
  label: optional(Type.Enum(['state', 'collision', 'submitted', 'latest'])),
  turnId: optional(Type.String()),
  sessionId: optional(Type.String()),
});
const Ack = closed({
  seq: Count,
  generation: Count,
  position: Count,
  createdAtUs: optional(Type.Integer()),
  turnId: optional(Type.String()),
  text: optional(Type.Union([Bytes, Type.Null()])),
});
const Answer = closed({
  id: Type.Integer(),
  more: optional(Type.Literal(true)),
  split: optional(Type.Literal(true)),
  restart: optional(Type.Literal(true)),
  rows: optional(Type.Array(Row)),
  malformed: optional(Type.Array(Type.Object({ line: Count, raw: Type.String() }))),
  ids: optional(Type.Array(Type.String())),
  acks: optional(Type.Array(Ack)),
  duplicate: optional(Type.Boolean()),
  created: optional(Type.Boolean()),
  count: optional(Count),
  head: optional(Cursor),
  stats: optional(Type.Object({})),
  actions: optional(Type.Array(Type.Object({ action: Type.String() }))),
  applied: optional(Type.Boolean()),
  progress: optional(Type.Object({})),
  backup: optional(Type.Object({})),
  error: optional(ErrorOf),
});
const Event = closed({
  seq: Count,
  generation: Count,
  text: Bytes,
  sameSeqFollows: optional(Type.Literal(true)),
});
const Entry = closed({
  position: Count,
  journal: Type.Enum(['turns', 'runs']),
  streamId: Type.String(),
  event: optional(Event),
  runId: optional(Type.String()),
  deleted: optional(Type.Literal(true)),
});

const schemas = new Map(
  Object.entries({
    answer: Answer,
    hello: Type.Object({ type: Type.Literal('hello'), error: optional(ErrorOf) }),
    push: closed({
      type: Type.Literal('push'),
      subscription: Count,
      rows: Type.Array(Type.Union([Event, Entry]), { minItems: 1 }),
      split: optional(Type.Literal(true)),
    }),
    progress: closed({
      type: Type.Literal('progress'),
      subscription: Count,
      cursor: optional(Cursor),
      position: optional(Count),
      caughtUp: optional(Type.Literal(true)),
    }),
    ended: closed({ type: Type.Literal('ended'), subscription: Count, error: ErrorOf }),
    ping: closed({ type: Type.Literal('ping') }),
    pong: closed({ type: Type.Literal('pong') }),
  }).map(([name, schema]) => [name, Compile(schema)]),
);

/**
 * What is wrong with a message of the daemon, or null.
 *
 * @param hasBegun whether it goes on with an answer of which a part came: what is deleted while it
 *   is sent cannot be sent to its end, and there is no other error for that
 */
export function problemWith(
  message: Readonly<Record<string, unknown>>,
  hasBegun: boolean,
): string | null {
  if (hasBegun && isOvertaken(message['error'])) return null;
  const kind = 'id' in message ? 'answer' : String(message['type']);
  const schema = schemas.get(kind);
  if (schema === undefined) return `a message of the type ${kind}`;
  if (schema.Check(message)) return null;
  const [first] = schema.Errors(message);
  const { error = {} } = message as { readonly error?: object };
  return `${kind}${first?.instancePath}: ${first?.message} ${JSON.stringify(error).slice(0, 1000)}`;
}

function isOvertaken(error: unknown): boolean {
  const { code, message } = (error ?? {}) as {
    readonly code?: unknown;
    readonly message?: unknown;
  };
  return code === 'STORAGE_FAILED' && /cannot be read: ENOENT.*; try again$/.test(String(message));
}
