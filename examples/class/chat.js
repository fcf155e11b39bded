import { clockText, el } from '../shared/dom.js';

/**
 * The chat, read out as it comes.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export function chatPanel(room, attempt) {
  const lines = el('ol', { class: 'chat-lines', role: 'log', 'aria-live': 'polite', 'aria-label': 'Chat', tabindex: '0' });
  const empty = el('p', { class: 'empty' }, 'Nobody has said anything yet.');
  const input = el('input', { id: 'chat-text', type: 'text', maxlength: 2000, autocomplete: 'off', placeholder: 'Say something', 'aria-label': 'Message' });
  const form = el('form', { class: 'row chat-form', onsubmit: send }, input, el('button', { class: 'primary', type: 'submit' }, 'Send'));
  const node = el('section', { class: 'panel chat', 'aria-labelledby': 'chat-title' },
    el('div', { class: 'panel-head' }, el('h2', { id: 'chat-title' }, 'Chat')), empty, lines, form);
  /** The last line that is drawn, and of which snapshot. */
  let drawn = { seq: 0, restored: 0 };

  /** @param {Event} event */
  function send(event) {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = '';
    attempt(room.chat(text).catch((error) => {
      if (!input.value) input.value = text;
      throw error;
    }));
  }

  function draw() {
    const { chat, restored } = room.state;
    if (drawn.restored !== restored) {
      // Another log, perhaps: after a crash a room begins anew.
      drawn = { seq: 0, restored };
      lines.replaceChildren();
    }
    empty.hidden = chat.length > 0;
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    for (const line of chat) {
      if (line.seq <= drawn.seq) continue;
      drawn.seq = line.seq;
      const who = line.by === null ? 'Simmer' : (room.state.participants.get(line.by)?.name ?? 'Somebody');
      lines.append(el('li', { class: line.by === room.me.id ? 'line own' : 'line', 'data-seq': line.seq },
        el('span', { class: 'who' }, who), el('time', {}, clockText(line.at)), el('span', { class: 'said' }, line.text)));
    }
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  }

  return { node, draw };
}
