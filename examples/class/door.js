import { capture, devices } from '/client/client.js';
import { el } from '../shared/dom.js';

/** @typedef {{camera: MediaStreamTrack | null, microphone: MediaStreamTrack | null}} Tracks */

/**
 * Asks for a name, a camera and a microphone, with a preview; resolves when somebody comes in.
 * A guest who was inside before the page was loaded again walks straight through.
 * @param {HTMLElement} screen
 * @param {import('./ticket.js').Guest} guest is filled in
 * @returns {Promise<Tracks>}
 */
export async function showDoor(screen, guest) {
  if (guest.joined && guest.name) {
    screen.replaceChildren(el('p', { class: 'card narrow', role: 'status' }, 'Coming back in…'));
    return capture(wishes(guest));
  }
  const preview = el('video', { class: 'preview', muted: true, playsinline: true, autoplay: true, 'aria-label': 'Your camera' });
  const level = el('meter', { id: 'level', min: 0, max: 1, value: 0, 'aria-label': 'Microphone level' });
  const problems = el('div', { class: 'problems', role: 'status' });
  const cameras = el('select', { id: 'camera' });
  const microphones = el('select', { id: 'microphone' });
  const name = el('input', {
    id: 'name', type: 'text', required: true, maxlength: 40, autocomplete: 'name', value: guest.name, placeholder: 'As the others will see it',
  });
  preview.muted = true;
  const empty = el('p', { class: 'preview-empty' }, 'No camera');

  /** @type {Tracks} */
  let tracks = { camera: null, microphone: null };
  let turn = 0;
  const ear = listen((value) => (level.value = value));

  async function look() {
    const mine = (turn += 1);
    for (const track of [tracks.camera, tracks.microphone]) track?.stop();
    tracks = { camera: null, microphone: null };
    const captured = await capture(wishes(guest));
    if (mine !== turn) {
      for (const track of [captured.camera, captured.microphone]) track?.stop();
      return;
    }
    tracks = captured;
    preview.srcObject = captured.camera ? new MediaStream([captured.camera]) : null;
    empty.hidden = captured.camera !== null;
    ear.to(captured.microphone);
    problems.replaceChildren(...captured.problems.map((problem) => el('p', { class: 'problem' }, problem.message)));
    if (captured.problems.length > 0) {
      problems.append(el('p', {}, 'You can come in all the same: you will see and hear the others.'));
    }
    const found = await devices();
    options(cameras, found.cameras, guest.camera, 'No camera', 'Camera');
    options(microphones, found.microphones, guest.microphone, 'No microphone', 'Microphone');
  }

  cameras.addEventListener('change', () => {
    guest.camera = cameras.value === 'none' ? false : cameras.value;
    void look();
  });
  microphones.addEventListener('change', () => {
    guest.microphone = microphones.value === 'none' ? false : microphones.value;
    void look();
  });

  return new Promise((resolve) => {
    const enter = (/** @type {Event} */ event) => {
      event.preventDefault();
      guest.name = name.value.trim();
      if (!guest.name) return;
      turn += 1;
      ear.stop();
      preview.srcObject = null;
      resolve(tracks);
    };
    screen.replaceChildren(
      el('section', { class: 'card door' },
        el('div', { class: 'door-look' },
          el('div', { class: 'preview-frame' }, preview, empty),
          el('div', { class: 'row level-row' }, el('label', { for: 'level' }, 'Level'), level),
          problems),
        el('form', { class: 'door-form', onsubmit: enter },
          el('p', { class: 'eyebrow' }, 'Simmer · live cooking class'),
          el('h1', {}, 'Come in'),
          el('div', { class: 'field' }, el('label', { for: 'name' }, 'Your name'), name),
          el('div', { class: 'field' }, el('label', { for: 'camera' }, 'Camera'), cameras),
          el('div', { class: 'field' }, el('label', { for: 'microphone' }, 'Microphone'), microphones),
          el('button', { class: 'primary large', type: 'submit', id: 'enter' }, 'Join the class'))),
    );
    name.focus();
    options(cameras, [], guest.camera, 'No camera', 'Camera');
    options(microphones, [], guest.microphone, 'No microphone', 'Microphone');
    void look();
  });
}

/** @param {import('./ticket.js').Guest} guest */
function wishes({ camera, microphone }) {
  return { camera: camera === '' ? true : camera, microphone: microphone === '' ? true : microphone };
}

/**
 * @param {HTMLSelectElement} select
 * @param {MediaDeviceInfo[]} found
 * @param {string | false} chosen
 * @param {string} none
 * @param {string} some
 */
function options(select, found, chosen, none, some) {
  const usual = el('option', { value: '' }, 'The usual one');
  const others = found.map((device, index) => el('option', { value: device.deviceId }, device.label || `${some} ${index + 1}`));
  select.replaceChildren(usual, ...others, el('option', { value: 'none' }, none));
  select.value = chosen === false ? 'none' : chosen;
  if (select.selectedIndex < 0) select.value = '';
}

/**
 * Measures how loud a microphone is, ten times a second.
 * @param {(level: number) => void} show from 0 to 1
 */
function listen(show) {
  /** @type {AudioContext | null} */
  let context = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  function stop() {
    clearInterval(timer);
    void context?.close();
    context = null;
    show(0);
  }
  return {
    stop,
    /** @param {MediaStreamTrack | null} track */
    to(track) {
      stop();
      if (!track) return;
      context = new AudioContext();
      const analyser = context.createAnalyser();
      analyser.fftSize = 1024;
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      timer = setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
        show(Math.min(1, Math.sqrt(power) * 4));
      }, 100);
    },
  };
}
