/**
 * Asks before something that cannot be undone; resolves to whether it shall be done.
 * @param {{title: string, text: string, yes: string}} question
 * @returns {Promise<boolean>}
 */
export declare function ask({ title, text, yes }: {
    title: string;
    text: string;
    yes: string;
}): Promise<boolean>;
