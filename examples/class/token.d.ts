/**
 * A function that gets a token each time one is needed: they last ten minutes, a class lasts longer,
 * and a reconnect may come at any time.
 * @param {{room: string, key: string, name: string, identity: string}} ticket
 */
export declare function tokenSource(ticket: {
    room: string;
    key: string;
    name: string;
    identity: string;
}): () => Promise<any>;
