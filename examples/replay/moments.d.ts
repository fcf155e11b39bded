/**
 * What was done and said, each line a way to its moment; what is yet to come is faint.
 * @param {import('./player.js').Manifest} manifest
 * @param {import('./player.js').LogLine[]} log
 * @param {(ms: number) => void} seek
 */
export declare function momentsPanel(manifest: import('./player.js').Manifest, log: import('./player.js').LogLine[], seek: (ms: number) => void): {
    node: HTMLElement;
    draw: (at: number) => void;
};
