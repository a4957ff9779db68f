/** What the fuzzer finds fault with. */
import type { Conversation } from './conversations.js';

/** How long the daemon may take for anything: what a call of the client library waits by default. */
export const PATIENCE_MS = 30_000;

/** The daemon did something that it must not. */
export class Finding extends Error {
  /** The conversation in which it did; or those that were under way, where that is not known. */
  readonly conversations: readonly Conversation[];
  /** Whether it died of it. */
  readonly isDeath: boolean;

  constructor(message: string, conversations: readonly Conversation[] = [], isDeath = false) {
    super(message);
    this.name = 'Finding';
    this.conversations = conversations;
    this.isDeath = isDeath;
  }
}
