/**
 * Fetches JSON; a refusal becomes the `SimmerError` it names.
 * @param {string} url
 * @param {RequestInit & {json?: unknown}} [options]
 * @returns {Promise<any>}
 */
export declare function fetchJson(url: string, { json, ...options }?: RequestInit & {
    json?: unknown;
}): Promise<any>;
