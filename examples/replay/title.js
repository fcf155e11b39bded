/**
 * What a recording is called; a room that nobody named is simply a class.
 * @param {{title?: string, room?: string}} session
 */
export function titleOf({ title, room }) {
  return title && title !== room ? title : 'Cooking class';
}
