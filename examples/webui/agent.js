// A simulated agent. It understands nothing, but it behaves like one that does: it thinks aloud,
// calls a tool, waits for its result, and answers word by word. Its tools are real.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What happens in an agent's run: `delta` is a piece of a message that is under way, `message` the
 * whole message, with the tool calls that it ends in.
 *
 * @typedef {{ id: string, name: string, args: Record<string, unknown> }} ToolCall
 * @typedef {{ kind: 'delta', messageId: string, text: string }
 *   | { kind: 'message', messageId: string, text: string, toolCalls: ToolCall[] }
 *   | { kind: 'tool', call: ToolCall, result: unknown }} Step
 */

/** @typedef {(args: Record<string, unknown>) => Promise<unknown>} Tool */

/**
 * Answers a message.
 *
 * @param {{ prompt: string, runId: string, paceMs: number, tools: Map<string, Tool>, signal: AbortSignal }} task
 * @returns {AsyncGenerator<Step, void>}
 */
export async function* answer({ prompt, runId, paceMs, tools, signal }) {
  const script = scriptFor(prompt);
  const call = { id: `${runId}-call`, name: script.tool, args: script.args };
  yield* speak(`${runId}-1`, script.opening, [call]);
  await sleep(paceMs * 20, undefined, { signal });
  const tool = tools.get(call.name);
  if (tool === undefined) throw new Error(`there is no tool ${call.name}`);
  const result = await tool(call.args);
  yield { kind: 'tool', call, result };
  yield* speak(`${runId}-2`, script.answer(/** @type {Facts} */ (result)), []);

  /**
   * @param {string} messageId
   * @param {string} text
   * @param {ToolCall[]} toolCalls
   * @returns {AsyncGenerator<Step, void>}
   */
  async function* speak(messageId, text, toolCalls) {
    for (const word of text.match(/\s*\S+/g) ?? []) {
      await sleep(paceMs, undefined, { signal });
      yield { kind: 'delta', messageId, text: word };
    }
    yield { kind: 'message', messageId, text, toolCalls };
  }
}

/** @typedef {Record<string, unknown>} Facts */
/** @typedef {{ opening: string, tool: string, args: Record<string, unknown>, answer: (facts: Facts) => string }} Script */

/**
 * @param {string} prompt
 * @returns {Script}
 */
function scriptFor(prompt) {
  if (/\bfail/i.test(prompt)) return FAILS;
  if (/\b(die|dies|kill|crash|restart|power)/i.test(prompt)) return CRASH;
  if (/\b(tab|tabs|window|windows|worker|workers)\b/i.test(prompt)) return WORKERS;
  return MESSAGE;
}

/** @type {Script} */
const MESSAGE = {
  opening: 'Let me look at what the journal holds of this conversation so far.',
  tool: 'read_journal',
  args: {},
  answer: ({ turnEvents, messages, file }) =>
    `I am a simulated agent, so I will not pretend to have understood you. But everything that carries this answer is real.

Your message was on the disk before anybody read it. It is one of ${String(turnEvents)} events that say how far each turn of this chat has come, and one of ${String(messages)} messages in it. You can read them with any tool you like: they are lines of JSON in ${String(file)}.

Every word that appears here is an event of its own. It is written, synced and numbered, and only then shown, in the order of its number, to everyone who has this chat open. That is why a reload in the midst of a sentence neither loses a word nor shows one twice: the page says which event it saw last, and is given the next.`,
};

/** @type {Script} */
const CRASH = {
  opening: 'A fair question. I will ask the daemon how it is doing.',
  tool: 'daemon_stats',
  args: { fields: ['commits', 'events', 'fsyncs', 'health'] },
  answer: ({ commits, events, health }) =>
    `It says that it is ${String(health)}: ${String(events)} events in ${String(commits)} commits since it was started, each of them on the disk before it was acknowledged.

Kill it now, while I am talking. The sentence stops where it is, a banner says that the event log is away, and I wait, for what I have said is not acknowledged yet. When the daemon is back it recovers, my last words are sent again under the same number, and are written once. You will see the sentence go on as if nothing had happened.

Kill the worker that serves this page instead, and it goes another way: I live in that process, so this answer ends here. The next worker that starts finds the turn open and its worker gone, and marks it interrupted. What I had said until then stays, and nothing pretends to be finished.`,
};

/** @type {Script} */
const WORKERS = {
  opening: 'Let me see which worker I am running in.',
  tool: 'whoami',
  args: {},
  answer: ({ pid, connections, subscriptions }) =>
    `I am running in worker process ${String(pid)}, one of ${String(connections)} clients of the daemon, which feeds ${String(subscriptions)} subscriptions at the moment.

Open this chat in another window, on the address of another worker. That worker knows nothing of me, and we never speak to each other. It asks the event log for everything after the last event that the window has, and from then on is given each new one as soon as it is durable, just like this one.

So both windows show the same words in the same order, and either of them can stop me: the stop is an event, too, and I follow the journal of my own turn.`,
};

/** @type {Script} */
const FAILS = {
  opening: 'I will call a tool of which I know that it does not work.',
  tool: 'unreliable_service',
  args: { retries: 0 },
  answer: () => '',
};
