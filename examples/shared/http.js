import { SimmerError } from '/client/errors.js';

/**
 * Fetches JSON; a refusal becomes the `SimmerError` it names.
 * @param {string} url
 * @param {RequestInit & {json?: unknown}} [options]
 * @returns {Promise<any>}
 */
export async function fetchJson(url, { json, ...options } = {}) {
  if (json !== undefined) {
    options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(json), ...options };
  }
  const response = await fetch(url, options);
  if (response.ok) return response.json();
  const refusal = await response.json().catch(() => null);
  const code = refusal?.code ?? (response.status === 404 ? 'not_found' : 'internal');
  throw new SimmerError(code, refusal?.message ?? `The server answered ${response.status}.`, { cause: response.status });
}
