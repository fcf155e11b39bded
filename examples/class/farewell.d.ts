/**
 * Says why it is over, and offers what can be done next.
 * @param {HTMLElement} screen
 * @param {unknown} error
 * @param {string | null} session the recording, if there is one
 */
export declare function showFarewell(screen: HTMLElement, error: unknown, session: string | null): void;
