/**
 * One tile per participant, with whatever was recorded of them at the time.
 * @param {{id: string, name: string, role: string}[]} participants
 * @param {import('./track.js').Track[]} tracks
 */
export declare function stage(participants: {
    id: string;
    name: string;
    role: string;
}[], tracks: import('./track.js').Track[]): {
    node: HTMLElement;
    draw: (at: number) => void;
};
