/**
 * Joining texts that span frames.
 *
 * @module
 */

/** A row and its whole text. */
export interface WholeRow<Row> {
  readonly row: Row;
  readonly text: Uint8Array;
}

/** Takes the pieces of rows in the order of the wire. */
export class RowJoiner<Row> {
  #begun: { readonly row: Row; readonly parts: Uint8Array[] } | null = null;

  /** Whether a row has begun and not ended. */
  get isInsideRow(): boolean {
    return this.#begun !== null;
  }

  /**
   * Takes the next piece.
   *
   * @param goesOn whether the next piece is of the same row
   * @returns the row as its first piece came, with its whole text; null until that is there
   */
  add(row: Row, text: Uint8Array, goesOn: boolean): WholeRow<Row> | null {
    const begun = this.#begun;
    if (goesOn) {
      if (begun === null) this.#begun = { row, parts: [text] };
      else begun.parts.push(text);
      return null;
    }
    this.#begun = null;
    return begun === null
      ? { row, text }
      : { row: begun.row, text: Buffer.concat([...begun.parts, text]) };
  }
}
