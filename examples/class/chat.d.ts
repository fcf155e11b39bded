/**
 * The chat, read out as it comes.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export declare function chatPanel(room: import('/client/client.js').Room, attempt: (action: Promise<unknown>) => void): {
    node: HTMLElement;
    draw: () => void;
};
