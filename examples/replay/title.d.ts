/**
 * What a recording is called; a room that nobody named is simply a class.
 * @param {{title?: string, room?: string}} session
 */
export declare function titleOf({ title, room }: {
    title?: string;
    room?: string;
}): string;
