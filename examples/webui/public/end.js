// The end of the conversation: who is there stays there while it grows; who reads further up is
// not disturbed.
import { byId } from './dom.js';

/** How near the end somebody must be to be taken along, in pixels. */
const NEAR = 80;

/** Keeps the page at the end of the conversation, and offers the way there. */
export function keepAtEnd() {
  const scroller = byId('scroller', HTMLElement);
  const down = byId('down', HTMLButtonElement);
  let isThere = true;

  const goThere = () => {
    isThere = true;
    scroller.scrollTop = scroller.scrollHeight;
  };
  const settle = () => {
    if (isThere) goThere();
    down.hidden = isThere;
  };
  scroller.addEventListener('scroll', () => {
    isThere = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
    down.hidden = isThere;
  });
  down.addEventListener('click', goThere);
  // It grows with each word; the room for it shrinks with the banner and the keyboard of a phone.
  const resizes = new ResizeObserver(settle);
  resizes.observe(scroller);
  resizes.observe(byId('conversation', HTMLElement));

  /**
   * Leaves in view what is, while something is put before it.
   *
   * @param {() => void} change
   */
  const holdWhile = (change) => {
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    change();
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
  };
  return { goThere, holdWhile };
}
