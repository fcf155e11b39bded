/**
 * One clock for many media elements.
 *
 * The master clock runs on the machine's monotonic clock. Each element is kept on it by small changes of its rate,
 * which nobody hears; only one that is far off is seeked.
 */
/** How much an element's rate may be bent to catch up. */
export declare const MOST_BEND = 0.05;
/** Beyond this an element is seeked, in milliseconds. */
export declare const SEEK_BEYOND_MS = 300;
/** Within this an element is left alone. */
export declare const GOOD_ENOUGH_MS = 12;
/** Session time: plays, pauses, seeks, at a rate. Stops at the end. */
export declare class MasterClock {
    #private;
    duration: number;
    /**
     * @param {number} duration in milliseconds
     * @param {() => number} [now] a monotonic clock in milliseconds
     */
    constructor(duration: number, now?: () => number);
    playing: boolean;
    rate: number;
    /** Session time now, in milliseconds. */
    get time(): number;
    play(): void;
    pause(): void;
    /** @param {number} ms */
    seek(ms: number): void;
    /** @param {number} rate */
    setRate(rate: number): void;
}
/**
 * A line through knots `[media_ms, session_ms]`, both rising; straight on beyond the outer ones.
 * @param {[number, number][]} knots at least one
 */
export declare function timeline(knots: [number, number][]): {
    /** Media time at a session time. @param {number} session */
    toMedia: (session: number) => number;
    /** Session time at a media time. @param {number} media */
    toSession: (media: number) => number;
};
/**
 * What to do with an element that is `behind` milliseconds behind the clock: seek it, or play it at this rate.
 * @param {number} behind negative when it is ahead
 * @param {number} rate the clock's
 * @returns {{seek: boolean, rate: number}}
 */
export declare function correction(behind: number, rate: number): {
    seek: boolean;
    rate: number;
};
