/**
 * The host's view of the whole class: participants by steps.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export declare function overviewPanel(room: import('/client/client.js').Room, attempt: (action: Promise<unknown>) => void): {
    node: HTMLElement;
    draw: () => void;
};
