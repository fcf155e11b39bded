export type ManifestTrack = {
    id: string;
    publication: string;
    participant: string;
    kind: 'audio' | 'video';
    source: string | null;
    file: string;
    start_ms: number;
    duration_ms: number;
    clock: [number, number][];
    gaps: [number, number][];
};
/** One recorded file and the media element that plays it on the master clock. */
export declare class Track {
    #private;
    entry: ManifestTrack;
    element: HTMLAudioElement;
    end: number;
    /**
     * @param {ManifestTrack} entry of the manifest
     * @param {string} url of the file
     */
    constructor(entry: ManifestTrack, url: string);
    /** Whether there is something to see or hear at this session time. @param {number} at */
    covers(at: number): boolean;
    /** How far the element is behind session time `at`, in milliseconds. @param {number} at */
    behind(at: number): number;
    /**
     * Brings the element to where the clock is.
     * @param {import('./clock.js').MasterClock} clock
     * @param {(error: unknown) => void} refused the browser does not play without a tap
     */
    follow(clock: import('./clock.js').MasterClock, refused: (error: unknown) => void): void;
    /** Whether the element has nothing to play right now although it should. @param {number} at */
    waits(at: number): boolean;
}
