/**
 * The class itself: everybody's picture, the steps, the chat and, for the host, who is where.
 */
import { SimmerError } from '/client/client.js';
export type Room = import('/client/client.js').Room;
/** @typedef {import('/client/client.js').Room} Room */
/**
 * Shows the class until it is over for this participant.
 * @param {HTMLElement} screen
 * @param {Room} room
 * @param {{ticket: import('./ticket.js').Ticket, tracks: import('./door.js').Tracks}} given
 * @returns {Promise<{reason: SimmerError, session: string | null}>}
 */
export declare function showKitchen(screen: HTMLElement, room: Room, { ticket, tracks }: {
    ticket: import('./ticket.js').Ticket;
    tracks: import('./door.js').Tracks;
}): Promise<{
    reason: SimmerError;
    session: string | null;
}>;
/** @param {string} text */
export declare function toast(text: string): void;
