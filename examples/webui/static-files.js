// The files of the page, held in memory.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

const FOLDER = join(import.meta.dirname, 'public');
/** @type {Map<string, string>} */
const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);
/** The page loads nothing that is not its own. */
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** One file, as it is sent. */
export class StaticFile {
  #body;
  #headers;

  /**
   * @param {Buffer} body
   * @param {string} type
   */
  constructor(body, type) {
    this.#body = body;
    this.#headers = {
      'content-type': type,
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
      etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
    };
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  send(request, response) {
    const isKnown = request.headers['if-none-match'] === this.#headers.etag;
    response.writeHead(isKnown ? 304 : 200, this.#headers);
    response.end(isKnown ? undefined : this.#body);
  }
}

/** @returns {Promise<Map<string, StaticFile>>} the files by their paths; `/` is the page itself */
export async function loadFiles() {
  /** @type {Map<string, StaticFile>} */
  const files = new Map();
  for (const name of await readdir(FOLDER)) {
    const type = TYPES.get(extname(name));
    if (type === undefined) continue;
    const file = new StaticFile(await readFile(join(FOLDER, name)), type);
    files.set(name === 'index.html' ? '/' : `/${name}`, file);
  }
  return files;
}
