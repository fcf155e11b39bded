/**
 * What a class's link holds, behind the `#` so that it never reaches a server's log.
 *
 * @typedef {{room: string, key: string, invite: string | null}} Ticket
 * @typedef {{identity: string, name: string, joined: boolean, camera: string | false, microphone: string | false}} Guest
 */
export type Ticket = {
    room: string;
    key: string;
    invite: string | null;
};
export type Guest = {
    identity: string;
    name: string;
    joined: boolean;
    camera: string | false;
    microphone: string | false;
};
/** @returns {Ticket | null} */
export declare function ticketOfPage(): Ticket | null;
/**
 * The link that lets somebody in. The host's also holds the key to invite others with.
 * @param {string} room
 * @param {string} key
 * @param {string} [invite]
 */
export declare function linkTo(room: string, key: string, invite?: string): string;
/**
 * Who this tab is in a room; kept in the tab, so that a reload comes back as the same participant.
 * @param {string} room
 * @returns {Guest}
 */
export declare function guestOf(room: string): Guest;
/**
 * @param {string} room
 * @param {Guest} guest
 */
export declare function keepGuest(room: string, guest: Guest): void;
