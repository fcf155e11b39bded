/**
 * Who had done what by now: participants by steps, each tick a way to its moment.
 * @param {import('./player.js').Manifest} manifest
 * @param {import('./player.js').LogLine[]} log
 * @param {(ms: number) => void} seek
 */
export declare function progressPanel(manifest: import('./player.js').Manifest, log: import('./player.js').LogLine[], seek: (ms: number) => void): {
    node: HTMLElement;
    draw: (at: number) => void;
};
