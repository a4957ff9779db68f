// What an agent does, as events of a run. A turn has one run, under its own id, in the thread that
// is named like the session.

/** @typedef {import('./agent.js').Step} Step */
/** @typedef {{ sessionId: string, turnId: string, prompt: string }} Turn */

/** Pieces of messages under way. The whole message follows, so they are no messages themselves. */
export const DELTA = 'llm.ai.delta';

/**
 * @param {Turn} turn
 * @param {Step | { kind: 'prompt' } | { kind: 'end' }} step
 * @returns {import('eventlogd').NewRunEvent}
 */
export function runEventOf({ sessionId, turnId, prompt }, step) {
  const run = { thread_id: sessionId, run_id: turnId };
  switch (step.kind) {
    case 'prompt': {
      const content = { type: 'human', content: prompt };
      return { ...run, event_type: 'llm.human.input', category: 'message', content };
    }
    case 'delta': {
      const metadata = { message_id: step.messageId };
      return { ...run, event_type: DELTA, category: 'trace', content: step.text, metadata };
    }
    case 'message': {
      const { messageId: id, text, toolCalls } = step;
      const content = { type: 'ai', id, content: text, tool_calls: toolCalls };
      return { ...run, event_type: 'llm.ai.response', category: 'message', content };
    }
    case 'tool': {
      const { call, result } = step;
      const content = { type: 'tool', tool_call_id: call.id, name: call.name, content: result };
      return { ...run, event_type: 'llm.tool.result', category: 'message', content };
    }
    case 'end':
      return { ...run, event_type: 'run.end', category: 'lifecycle' };
  }
}
