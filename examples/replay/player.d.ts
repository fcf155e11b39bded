export type Manifest = {
    session: string;
    room: string;
    title: string;
    started_at: number;
    duration_ms: number;
    recovered: boolean;
    participants: {
        id: string;
        name: string;
        role: string;
    }[];
    tracks: import('./track.js').ManifestTrack[];
    chapters: {
        title: string;
        start_ms: number;
        step: number;
    }[];
    events: string;
};
export type LogLine = {
    seq: number;
    t_ms: number;
    by: string | null;
    kind: string;
} & Record<string, any>;
/**
 * @param {HTMLElement} screen
 * @param {Manifest} manifest
 * @param {LogLine[]} log
 * @param {string} address of the session
 */
export declare function showPlayer(screen: HTMLElement, manifest: Manifest, log: LogLine[], address: string): void;
