// HTTP: which request means what. Nothing is kept between requests, so any worker answers any of
// them.
import { json } from 'node:stream/consumers';
import {
  EventLogError,
  lastEventCursor,
  lastEventPosition,
  parseCursor,
  serveSse,
} from 'eventlogd';
import { listSessions, readMessages } from './sessions.js';

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */
/**
 * @typedef {object} Site
 * @property {import('eventlogd').EventLog} log
 * @property {import('./answering.js').Answering} answering
 * @property {Map<string, import('./static-files.js').StaticFile>} files
 * @property {string} workerName
 * @property {AbortSignal} signal ends the responses that have no end
 */
/** @typedef {{ request: Request, response: Response, query: URLSearchParams, ids: string[] }} Call */
/** @typedef {(site: Site, call: Call) => Promise<void>} Handler */

const BODY_BYTES_MAX = 64 * 1024;
/** Of a session, which is a thread as well, and of the key that a browser gives to a message. */
const ID = '([A-Za-z0-9_-]{1,64})';

/** @type {[method: string, path: RegExp, handler: Handler][]} */
const ROUTES = [
  ['GET', /^\/api\/sessions$/, showSessions],
  ['GET', /^\/api\/turns$/, followTurns],
  ['GET', new RegExp(`^/api/sessions/${ID}$`), showMessages],
  ['GET', new RegExp(`^/api/sessions/${ID}/events$`), followRuns],
  ['PUT', new RegExp(`^/api/sessions/${ID}/turns/${ID}$`), submit],
  ['DELETE', new RegExp(`^/api/sessions/${ID}/turns/${ID}$`), interrupt],
];

/**
 * Answers a request.
 *
 * @param {Site} site
 * @param {Request} request
 * @param {Response} response
 */
export async function answerRequest(site, request, response) {
  try {
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://webui');
    const file = request.method === 'GET' ? site.files.get(pathname) : undefined;
    if (file !== undefined) {
      file.send(request, response);
      return;
    }
    for (const [method, path, handler] of ROUTES) {
      const match = request.method === method ? path.exec(pathname) : null;
      if (match === null) continue;
      await handler(site, { request, response, query, ids: match.slice(1) });
      return;
    }
    send(response, 404, JSON.stringify({ error: 'there is nothing here' }));
  } catch (error) {
    refuse(response, error);
  }
}

/** @type {Handler} */
async function showSessions({ log }, { response }) {
  send(response, 200, await listSessions(log));
}

/** @type {Handler} */
async function showMessages({ log }, { response, query, ids: [sessionId = ''] }) {
  const before = query.get('before');
  send(
    response,
    200,
    await readMessages(log, sessionId, before === null ? undefined : Number(before)),
  );
}

/**
 * What happens to the turns of all sessions. Tells also which worker this is, and when the event
 * log is away.
 *
 * @type {Handler}
 */
async function followTurns({ log, signal, workerName }, { request, response, query }) {
  const after = query.get('after');
  const afterPosition = lastEventPosition(request) ?? (after === null ? undefined : Number(after));
  const subscription = log.subscribeAll({ journal: 'turns', afterPosition, signal });
  const ended = serveSse(response, subscription);
  const tell = () => {
    if (response.writableNeedDrain || response.writableEnded || response.destroyed) return;
    const facts = { workerName, isLogThere: log.state === 'ready' };
    response.write(`event: worker\ndata: ${JSON.stringify(facts)}\n\n`);
  };
  tell();
  const quiet = [log.on('disconnect', tell), log.on('reconnect', tell)];
  await ended.finally(() => {
    for (const stop of quiet) stop();
  });
}

/** What the agent does in one session. @type {Handler} */
async function followRuns({ log, signal }, { request, response, query, ids: [threadId = ''] }) {
  const after = lastEventCursor(request) ?? parseCursor(query.get('after') ?? '0-0');
  await serveSse(response, log.runs.subscribe(threadId, { after, signal }));
}

/** @type {Handler} */
async function submit({ answering }, { request, response, ids: [sessionId = '', key = ''] }) {
  const content = await readContent(request);
  if (content === null) {
    send(response, 400, JSON.stringify({ error: 'a message has a content that is not blank' }));
    return;
  }
  const turnId = await answering.submit(sessionId, key, content);
  send(response, 200, JSON.stringify({ turnId }));
}

/** @type {Handler} */
async function interrupt({ answering }, { response, ids: [sessionId = '', turnId = ''] }) {
  await answering.interrupt(sessionId, turnId);
  send(response, 200, '{}');
}

/**
 * The message in the body; null if there is none.
 *
 * @param {Request} request
 * @returns {Promise<string | null>}
 */
async function readContent(request) {
  if (Number(request.headers['content-length'] ?? Infinity) > BODY_BYTES_MAX) return null;
  const body = /** @type {unknown} */ (await json(request).catch(() => null));
  if (typeof body !== 'object' || body === null || !('content' in body)) return null;
  return typeof body.content === 'string' && body.content.trim() !== '' ? body.content : null;
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} body JSON
 */
function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(body);
}

/** @type {Map<string, number>} */
const STATUS = new Map([
  ['INVALID_ARGUMENT', 400],
  ['INVALID_ID', 400],
  ['INVALID_EVENT', 400],
  ['EVENT_TOO_LARGE', 413],
  ['IDEMPOTENCY_KEY_REUSED', 409],
  ['STREAM_FENCED', 409],
]);

/**
 * Says what went wrong, and whether it is worth to try again: 503 if so.
 *
 * @param {Response} response
 * @param {unknown} error
 */
function refuse(response, error) {
  const known = error instanceof EventLogError ? error : null;
  const passes = known !== null && (known.retryable || known.outcome === 'unknown');
  const status = STATUS.get(known?.code ?? '') ?? (passes ? 503 : 500);
  if (status === 500) console.error(error);
  if (response.headersSent) response.destroy();
  else send(response, status, JSON.stringify({ error: known?.message ?? 'something went wrong' }));
}
