/**
 * The recipe's steps: ticked by everybody, set and started by the host.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export declare function stepsPanel(room: import('/client/client.js').Room, attempt: (action: Promise<unknown>) => void): {
    node: HTMLElement;
    draw: () => void;
};
