// Asking the server.

/** The server refused: the same again will be refused again. */
export class Refused extends Error {}

/**
 * @param {'GET' | 'PUT' | 'DELETE'} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<unknown>} its answer
 * @throws Refused when there is no sense in trying again; anything else when there is
 */
export async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const answer = await response.json();
  if (response.ok) return answer;
  if (response.status < 500) throw new Refused(answer.error);
  throw new Error(answer.error);
}

/**
 * An id that nobody else makes.
 *
 * @param {number} bytes
 */
export function randomId(bytes) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
