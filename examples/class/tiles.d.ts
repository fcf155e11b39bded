/**
 * Everybody's picture with their name; a click makes one large.
 * @param {import('/client/client.js').Room} room
 */
export declare function tileGrid(room: import('/client/client.js').Room): {
    node: HTMLDivElement;
    draw: () => void;
};
