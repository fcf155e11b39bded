/**
 * Makes a class and shows its two links.
 * @param {HTMLElement} screen
 */
export declare function showEntrance(screen: HTMLElement): void;
/**
 * A link that can be read, selected and copied.
 * @param {string} label
 * @param {string} link
 * @param {string} id
 */
export declare function linkField(label: string, link: string, id: string): HTMLDivElement;
