/** How readers of journal files find lines. */

/** What ends a line for Python: CR LF first, for it is one end. */
const UNICODE_LINE_ENDS = new RegExp(`\r\n|[${'\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029'}]`);

/** The lines of a reader that splits on LF alone, blank ones left out. */
export function splitOnLf(bytes: Buffer): string[] {
  return bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}

/** The lines of a reader that splits as Python's `str.splitlines` does, blank ones left out. */
export function splitOnUnicode(bytes: Buffer): string[] {
  return bytes
    .toString('utf8')
    .split(UNICODE_LINE_ENDS)
    .filter((line) => line !== '');
}
