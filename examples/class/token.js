import { fetchJson } from '../shared/http.js';

/**
 * A function that gets a token each time one is needed: they last ten minutes, a class lasts longer,
 * and a reconnect may come at any time.
 * @param {{room: string, key: string, name: string, identity: string}} ticket
 */
export function tokenSource(ticket) {
  return async () => (await fetchJson('/demo/class/token', { json: ticket })).token;
}
