import { el } from './dom.js';

/**
 * Asks before something that cannot be undone; resolves to whether it shall be done.
 * @param {{title: string, text: string, yes: string}} question
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes }) {
  return new Promise((resolve) => {
    const dialog = el('dialog', { class: 'ask', 'aria-labelledby': 'ask-title' },
      el('h2', { id: 'ask-title' }, title),
      el('p', {}, text),
      el('form', { method: 'dialog', class: 'row end' },
        el('button', { class: 'quiet', value: 'no', autofocus: true }, 'Cancel'),
        el('button', { class: 'danger', value: 'yes' }, yes)),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
