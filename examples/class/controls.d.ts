/**
 * The bar of buttons: microphone, camera, hand, and for the host recording and the end.
 * @param {import('/client/client.js').Room} room
 * @param {import('./door.js').Tracks} tracks
 * @param {(action: Promise<unknown>) => void} attempt
 */
export declare function controlBar(room: import('/client/client.js').Room, tracks: import('./door.js').Tracks, attempt: (action: Promise<unknown>) => void): {
    node: HTMLElement;
    draw: () => void;
};
