/**
 * The class's page. Without a ticket in the address it makes a class, with one it asks for a name, then joins.
 */
import { join } from '/client/client.js';
import { byId } from '../shared/dom.js';
import { showDoor } from './door.js';
import { showEntrance } from './entrance.js';
import { showKitchen } from './kitchen.js';
import { showFarewell } from './farewell.js';
import { guestOf, keepGuest, ticketOfPage } from './ticket.js';
import { tokenSource } from './token.js';

const screen = byId('screen');
const ticket = ticketOfPage();

window.addEventListener('hashchange', () => location.reload());

if (ticket) void attend(ticket);
else showEntrance(screen);

/** @param {import('./ticket.js').Ticket} ticket */
async function attend(ticket) {
  const guest = guestOf(ticket.room);
  let tracks = await showDoor(screen, guest);
  guest.joined = true;
  keepGuest(ticket.room, guest);
  try {
    const { identity, name } = guest;
    const token = tokenSource({ room: ticket.room, key: ticket.key, name, identity });
    const room = await join({ token, name });
    // For the console.
    Object.assign(globalThis, { room });
    const { reason, session } = await showKitchen(screen, room, { ticket, tracks });
    guest.joined = false;
    keepGuest(ticket.room, guest);
    showFarewell(screen, reason, session);
  } catch (error) {
    guest.joined = false;
    keepGuest(ticket.room, guest);
    for (const track of [tracks.camera, tracks.microphone]) track?.stop();
    showFarewell(screen, error, null);
  }
}
