export type Tracks = {
    camera: MediaStreamTrack | null;
    microphone: MediaStreamTrack | null;
};
/** @typedef {{camera: MediaStreamTrack | null, microphone: MediaStreamTrack | null}} Tracks */
/**
 * Asks for a name, a camera and a microphone, with a preview; resolves when somebody comes in.
 * A guest who was inside before the page was loaded again walks straight through.
 * @param {HTMLElement} screen
 * @param {import('./ticket.js').Guest} guest is filled in
 * @returns {Promise<Tracks>}
 */
export declare function showDoor(screen: HTMLElement, guest: import('./ticket.js').Guest): Promise<Tracks>;
