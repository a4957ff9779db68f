/**
 * What the daemon checks of a request before a handler sees it. Unknown fields are ignored.
 *
 * @module
 */
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { InvalidArgumentError, InvalidIdError } from '../../shared/errors.js';
import {
  BACKUP_PATH_LENGTH_MAX,
  BATCH_EVENTS_MAX,
  EVENT_TYPES_MAX,
  IDEMPOTENCY_KEY_BYTES_MAX,
} from '../../shared/limits.js';
import type { Hello, Notice, Request, RequestType } from '../../shared/protocol.js';

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Limit = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Text = Type.Refine(Type.Unknown(), (value) => value instanceof Uint8Array);
const Id = Type.String();
const optional = Type.Optional;

const identified = { number: optional(Count), lowest: optional(Count) };
const appendOptions = {
  ...identified,
  expectedSeq: optional(Count),
  idempotencyKey: optional(Type.String({ minLength: 1 })),
};
const subscribing = { subscription: Count, credit: Count };
const After = Type.Union([
  Type.Object({ generation: Count, seq: Count }),
  Count,
  Type.Literal('start'),
  Type.Literal('now'),
]);
const Names = Type.Array(Type.String(), { maxItems: EVENT_TYPES_MAX });
const page = { beforeSeq: optional(Count), afterSeq: optional(Count), limit: Limit };

const HelloSchema = Type.Object({
  type: Type.Literal('hello'),
  protocolMin: Count,
  protocolMax: Count,
  clientId: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  clientName: optional(Type.String({ maxLength: 200 })),
});

const fields: Readonly<Record<RequestType, Readonly<Record<string, TSchema>>>> = {
  'turns.append': {
    ...appendOptions,
    sessionId: Id,
    text: Text,
    streamId: optional(Type.String({ minLength: 1 })),
    unlessTerminal: optional(Type.Boolean()),
  },
  'turns.read': { sessionId: Id, afterSeq: optional(Count), limit: optional(Limit) },
  'turns.states': { sessionId: Id },
  'turns.pending': { sessionId: optional(Id), limit: optional(Limit) },
  'turns.sessionIds': {},
  'turns.head': { sessionId: Id },
  'turns.delete': { ...identified, sessionId: Id },
  'turns.repair': { ...identified, sessionId: Id, apply: optional(Type.Boolean()) },
  'runs.put': {
    ...appendOptions,
    texts: Type.Array(Text, { minItems: 1, maxItems: BATCH_EVENTS_MAX }),
    ifAbsent: optional(Type.Boolean()),
  },
  'runs.listMessages': { ...page, threadId: Id },
  'runs.listEvents': {
    threadId: Id,
    runId: Id,
    eventTypes: optional(Type.Array(Type.String())),
    taskId: optional(Type.String()),
    afterSeq: optional(Count),
    limit: Limit,
  },
  'runs.listMessagesByRun': { ...page, threadId: Id, runId: Id },
  'runs.countMessages': { threadId: Id },
  'runs.threadIds': {},
  'runs.head': { threadId: Id },
  'runs.deleteByThread': { ...identified, threadId: Id },
  'runs.deleteByRun': { ...identified, threadId: Id, runId: Id },
  'runs.repair': { ...identified, threadId: Id, apply: optional(Type.Boolean()) },
  'turns.subscribe': { ...subscribing, sessionId: Id, after: optional(After) },
  'runs.subscribe': {
    ...subscribing,
    threadId: Id,
    after: optional(After),
    runId: optional(Id),
    categories: optional(Names),
    eventTypes: optional(Names),
    taskId: optional(Type.String()),
  },
  subscribeAll: {
    ...subscribing,
    afterPosition: optional(Count),
    journal: optional(Type.Union([Type.Literal('turns'), Type.Literal('runs')])),
  },
  stats: {},
  backup: { folder: Type.String({ minLength: 1, maxLength: BACKUP_PATH_LENGTH_MAX }) },
};

const CreditSchema = Type.Object({
  type: Type.Literal('credit'),
  subscription: Count,
  credit: Count,
});
const UnsubscribeSchema = Type.Object({ type: Type.Literal('unsubscribe'), subscription: Count });
const HeartbeatSchema = Type.Object({
  type: Type.Union([Type.Literal('ping'), Type.Literal('pong')]),
});

const hello = Compile(HelloSchema);
const notice = Compile(Type.Union([CreditSchema, UnsubscribeSchema, HeartbeatSchema]));
const requests = new Map(
  Object.entries(fields).map(([type, schema]) => [
    type,
    Compile(Type.Object({ id: Count, ...schema })),
  ]),
);

/** The hello that a message is, or null. */
export function checkHello(message: Readonly<Record<string, unknown>>): Hello | null {
  return hello.Check(message) ? (message as unknown as Hello) : null;
}

/** The notice that a message is, or null. */
export function checkNotice(message: Readonly<Record<string, unknown>>): Notice | null {
  const { type } = message;
  const isNotice =
    type === 'credit' || type === 'unsubscribe' || type === 'ping' || type === 'pong';
  return isNotice && notice.Check(message) ? (message as unknown as Notice) : null;
}

/** Whether a message's type is one that the daemon knows. */
export function isRequestType(type: unknown): type is RequestType {
  return typeof type === 'string' && requests.has(type);
}

/**
 * The request that a message of a known type is.
 *
 * @throws InvalidArgumentError or InvalidIdError that names the field
 */
export function checkRequest(
  type: RequestType,
  message: Readonly<Record<string, unknown>>,
): Request {
  const schema = requests.get(type);
  if (schema?.Check(message) !== true) {
    const [problem] = schema?.Errors(message) ?? [];
    const path = (problem?.instancePath ?? '').slice(1).replaceAll('/', '.');
    const field =
      problem?.keyword === 'required' ? (problem.params.requiredProperties[0] ?? path) : path;
    if (/^(sessionId|threadId|runId)$/.test(field))
      throw new InvalidIdError(`${field} must be a string`);
    throw new InvalidArgumentError(field, `${field}: ${problem?.message ?? 'is not of its form'}`);
  }
  const key = message['idempotencyKey'];
  if (typeof key === 'string' && Buffer.byteLength(key) > IDEMPOTENCY_KEY_BYTES_MAX) {
    throw new InvalidArgumentError(
      'idempotencyKey',
      `idempotencyKey may have ${IDEMPOTENCY_KEY_BYTES_MAX} bytes`,
    );
  }
  return message as unknown as Request;
}
