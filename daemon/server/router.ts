/**
 * From a checked request to its handler.
 *
 * @module
 */
import type { Request, RequestOf } from '../../shared/protocol.js';
import type { AnswerWriter } from './answer-writer.js';
import { Appends, checkId } from './appends.js';
import { sendBackup } from './backup.js';
import type { ServerContext } from './context.js';
import { Reads, sessionName, threadName } from './reads.js';
import { sendRepair } from './repair.js';
import type { Subscriptions } from './subscriptions.js';

type Append = RequestOf<'turns.append' | 'runs.put'>;

/** Routes the requests of one connection. */
export class Router {
  readonly #context: ServerContext;
  readonly #appends: Appends;
  readonly #reads: Reads;
  readonly #subscriptions: Subscriptions;

  constructor(context: ServerContext, clientId: string, subscriptions: Subscriptions) {
    this.#subscriptions = subscriptions;
    this.#context = context;
    this.#appends = new Appends(context, clientId);
    this.#reads = new Reads(context);
  }

  /** Handles a request, which ends its answer; a refusal is thrown or rejects. */
  route(request: Request, answer: AnswerWriter): Promise<void> | undefined {
    if (request.type === 'turns.append') this.#appends.turn(request, answer);
    else if (request.type === 'runs.put') this.#appends.runs(request, answer);
    else return this.#routeOther(request, answer);
    return undefined;
  }

  async #routeOther(request: Exclude<Request, Append>, answer: AnswerWriter): Promise<void> {
    switch (request.type) {
      case 'turns.read':
        return await this.#reads.turns(request, answer);
      case 'turns.states':
        return await this.#reads.states(request, answer);
      case 'turns.pending':
        return await this.#reads.pending(request, answer);
      case 'turns.sessionIds':
        return await this.#reads.sessionIds(answer);
      case 'turns.head':
        return await this.#reads.head(sessionName(request.sessionId), answer);
      case 'turns.delete':
        return answer.end({
          count: await this.#appends.delete(sessionName(request.sessionId), null, request),
        });
      case 'turns.repair':
        return await sendRepair(this.#context, sessionName(request.sessionId), request, answer);
      case 'runs.listMessages':
        return await this.#reads.listMessages(request, answer);
      case 'runs.listEvents':
        return await this.#reads.listEvents(request, answer);
      case 'runs.listMessagesByRun':
        return await this.#reads.listMessagesByRun(request, answer);
      case 'runs.countMessages':
        return await this.#reads.countMessages(request.threadId, answer);
      case 'runs.threadIds':
        return await this.#reads.threadIds(answer);
      case 'runs.head':
        return await this.#reads.head(threadName(request.threadId), answer);
      case 'runs.deleteByThread':
        return answer.end({
          count: await this.#appends.delete(threadName(request.threadId), null, request),
        });
      case 'runs.deleteByRun':
        checkId('run', request.runId);
        return answer.end({
          count: await this.#appends.delete(threadName(request.threadId), request.runId, request),
        });
      case 'runs.repair':
        return await sendRepair(this.#context, threadName(request.threadId), request, answer);
      case 'turns.subscribe':
        return await this.#subscriptions.turns(request, answer);
      case 'runs.subscribe':
        return await this.#subscriptions.runs(request, answer);
      case 'subscribeAll':
        return await this.#subscriptions.everything(request, answer);
      case 'stats':
        return answer.end({ stats: this.#context.stats() });
      case 'backup':
        return await sendBackup(this.#context, request, answer);
      default:
        return request satisfies never;
    }
  }
}
