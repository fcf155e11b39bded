/**
 * Elements in one expression: `el('button', { class: 'quiet', onclick }, 'Leave')`.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties] attributes; `on…` are listeners, booleans are present or absent
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export declare function el<T extends keyof HTMLElementTagNameMap>(tag: T, properties?: Record<string, any>, ...children: (Node | string | null | undefined | false)[]): HTMLElementTagNameMap[T];
/**
 * The element with this id, which the page is known to have.
 * @param {string} id
 * @returns {HTMLElement}
 */
export declare function byId(id: string): HTMLElement;
/** The strokes of each icon, in a 24 by 24 box. */
declare const STROKES: {
    microphone: string;
    camera: string;
    off: string;
    hand: string;
    record: string;
    leave: string;
    end: string;
    link: string;
    play: string;
    pause: string;
    remove: string;
    tick: string;
};
/**
 * @param {keyof typeof STROKES} name
 * @param {boolean} [crossed] struck through
 */
export declare function icon(name: keyof typeof STROKES, crossed?: boolean): SVGSVGElement;
/**
 * Minutes and seconds, hours where there are any: `3:07`, `1:02:45`.
 * @param {number} ms
 */
export declare function clockText(ms: number): string;
/**
 * Up to two letters that stand for a name.
 * @param {string} name
 */
export declare function initials(name: string): string;
export {};
