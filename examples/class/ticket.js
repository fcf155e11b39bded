/**
 * What a class's link holds, behind the `#` so that it never reaches a server's log.
 *
 * @typedef {{room: string, key: string, invite: string | null}} Ticket
 * @typedef {{identity: string, name: string, joined: boolean, camera: string | false, microphone: string | false}} Guest
 */

/** @returns {Ticket | null} */
export function ticketOfPage() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const room = fragment.get('room');
  const key = fragment.get('key');
  return room && key ? { room, key, invite: fragment.get('invite') } : null;
}

/**
 * The link that lets somebody in. The host's also holds the key to invite others with.
 * @param {string} room
 * @param {string} key
 * @param {string} [invite]
 */
export function linkTo(room, key, invite) {
  const url = new URL('/demo/class', location.origin);
  url.hash = new URLSearchParams(invite ? { room, key, invite } : { room, key }).toString();
  return url.href;
}

/**
 * Who this tab is in a room; kept in the tab, so that a reload comes back as the same participant.
 * @param {string} room
 * @returns {Guest}
 */
export function guestOf(room) {
  const kept = sessionStorage.getItem(`simmer.class.${room}`);
  if (kept) return JSON.parse(kept);
  return { identity: crypto.randomUUID(), name: '', joined: false, camera: '', microphone: '' };
}

/**
 * @param {string} room
 * @param {Guest} guest
 */
export function keepGuest(room, guest) {
  sessionStorage.setItem(`simmer.class.${room}`, JSON.stringify(guest));
}
