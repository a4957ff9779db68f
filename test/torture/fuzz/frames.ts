/** Frames, and what is due to whoever sends them. */
import { encodeTree, frameOf, type Tree, treeOf } from './msgpack.js';

/**
 * `answered`: a last answer with this id; `greeted`: hello; `silent`: nothing; `fatal`: the end of
 * the connection; `open`: one of these, and who can say what of all that follows on it.
 */
export type Due =
  | { readonly kind: 'answered'; readonly id: number }
  | { readonly kind: 'greeted' | 'silent' | 'fatal' | 'open' };

export interface Frame {
  readonly bytes: Uint8Array;
  readonly due: Due;
}

export const GREETED: Due = { kind: 'greeted' };
export const SILENT: Due = { kind: 'silent' };
export const FATAL: Due = { kind: 'fatal' };
export const OPEN: Due = { kind: 'open' };

/** A message as it should be. */
export function honestFrame(message: object): Frame {
  return treeFrame(treeOf(message), dueTo(message));
}

export function treeFrame(tree: Tree, due: Due): Frame {
  return { bytes: frameOf(encodeTree(tree)), due };
}

function dueTo(message: object): Due {
  const { type, id } = message as { readonly type?: unknown; readonly id?: unknown };
  if (type === 'hello') return GREETED;
  return typeof id === 'number' ? { kind: 'answered', id } : SILENT;
}
