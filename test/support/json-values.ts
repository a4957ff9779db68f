import fc from 'fast-check';
import { stringifyEvent } from '../../shared/json-stringify.js';

/** JSON values that an event can hold: without integers whose digits a number has lost. */
export function jsonValues(): fc.Arbitrary<unknown> {
  return fc.jsonValue({ maxDepth: 3 }).filter((value) => {
    try {
      stringifyEvent({ value }, { depthMax: 64 });
      return true;
    } catch {
      return false;
    }
  });
}
