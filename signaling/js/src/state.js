/**
 * The room as one participant sees it: a snapshot, and the log's events folded into it, each exactly once.
 *
 * @typedef {import('./messages.js').Snapshot} Snapshot
 * @typedef {import('./messages.js').RoomEvent} RoomEvent
 *
 * @typedef {{id: string, name: string, role: string, present: boolean}} Participant
 * @typedef {{id: string, participant: string, kind: 'audio' | 'video', source: import('./messages.js').Source,
 *            simulcast: boolean, mid?: string, muted: boolean}} Publication
 */

/** How many chat lines are kept, as many as a snapshot holds. */
const CHAT_LINES = 200;

export class RoomState {
  constructor() {
    /** The last event that is part of this state. */
    this.seq = 0;
    /** How often everything was replaced by a snapshot: what was drawn before may be gone. */
    this.restored = 0;
    /** @type {Map<string, Participant>} */
    this.participants = new Map();
    /** @type {Map<string, Publication>} */
    this.publications = new Map();
    /** @type {{title: string}[]} */
    this.steps = [];
    /** The step being worked on, null before the first. @type {number | null} */
    this.currentStep = null;
    /** Who has ticked what: by participant, one flag per step. @type {Map<string, boolean[]>} */
    this.done = new Map();
    /** Raised hands, the first one first. @type {Set<string>} */
    this.hands = new Set();
    /** @type {import('./messages.js').ChatLine[]} */
    this.chat = [];
    /** @type {import('./messages.js').RecordingInfo | null} */
    this.recording = null;
    this.ended = false;
  }

  /**
   * Replaces everything by the room as it stands after event `seq`.
   * @param {number} seq
   * @param {Snapshot} snapshot
   */
  restore(seq, snapshot) {
    this.seq = seq;
    this.restored += 1;
    this.participants = new Map(snapshot.participants.map((p) => [p.id, { ...p, present: p.present !== false }]));
    this.publications = new Map(snapshot.publications.map((p) => [p.id, { ...p, muted: p.muted === true }]));
    this.steps = snapshot.steps.steps.map((step) => ({ title: step.title }));
    this.currentStep = snapshot.steps.current;
    this.done = new Map(Object.entries(snapshot.steps.done).map(([id, flags]) => [id, [...flags]]));
    this.hands = new Set(snapshot.hands);
    this.chat = snapshot.chat.slice(-CHAT_LINES);
    this.recording = snapshot.recording;
    this.ended = snapshot.ended;
  }

  /**
   * Folds one event in. False, and nothing changed, when it is not newer than what is known, or when
   * `contiguous` is asked for and it would leave a gap (a resumption brings what is missing).
   * An event of an unknown kind changes nothing but counts.
   * @param {RoomEvent} event
   * @param {{contiguous?: boolean}} [options]
   */
  apply(event, { contiguous = false } = {}) {
    if (event.seq <= this.seq) return false;
    if (contiguous && event.seq !== this.seq + 1) return false;
    this.seq = event.seq;
    this.#fold(event);
    return true;
  }

  /**
   * @param {string} participant
   * @param {number} step
   */
  isDone(participant, step) {
    return this.done.get(participant)?.[step] === true;
  }

  /**
   * A participant's publications, camera before microphone and so on in the order they came.
   * @param {string} participant
   */
  publicationsOf(participant) {
    return [...this.publications.values()].filter((p) => p.participant === participant);
  }

  /**
   * @param {string} participant
   * @param {import('./messages.js').Source} source
   */
  publicationOf(participant, source) {
    return this.publicationsOf(participant).find((p) => p.source === source);
  }

  /** The participants who are here now, in the order they first came. */
  get present() {
    return [...this.participants.values()].filter((p) => p.present);
  }

  /** @param {RoomEvent} event */
  #fold(event) {
    switch (event.kind) {
      case 'joined':
        this.participants.set(event.participant.id, { ...event.participant, present: true });
        break;
      case 'left':
        this.#left(event.participant);
        break;
      case 'published':
        this.publications.set(event.publication.id, { ...event.publication, muted: event.publication.muted === true });
        break;
      case 'unpublished':
        this.publications.delete(event.publication);
        break;
      case 'muted': {
        const publication = this.publications.get(event.publication);
        if (publication) publication.muted = event.muted;
        break;
      }
      case 'chat':
        this.chat.push({ seq: event.seq, at: event.at, by: event.by, text: event.text });
        if (this.chat.length > CHAT_LINES) this.chat.shift();
        break;
      case 'hand':
        if (event.by === null) break;
        if (event.raised) this.hands.add(event.by);
        else this.hands.delete(event.by);
        break;
      case 'steps_set':
        this.steps = event.steps.map((/** @type {{title: string}} */ step) => ({ title: step.title }));
        this.currentStep = null;
        this.done.clear();
        break;
      case 'step_started':
        this.currentStep = event.step;
        break;
      case 'step_ticked':
        if (event.by !== null) this.#tick(event.by, event.step, event.done);
        break;
      case 'recording':
        this.recording = { state: event.state, session: event.session, reason: event.reason };
        break;
      case 'ended':
        this.ended = true;
        break;
      default:
    }
  }

  /** @param {string} id */
  #left(id) {
    const participant = this.participants.get(id);
    if (participant) participant.present = false;
    this.hands.delete(id);
    for (const publication of this.publicationsOf(id)) this.publications.delete(publication.id);
  }

  /**
   * @param {string} participant
   * @param {number} step
   * @param {boolean} done
   */
  #tick(participant, step, done) {
    const flags = this.done.get(participant) ?? [];
    while (flags.length <= step) flags.push(false);
    flags[step] = done;
    this.done.set(participant, flags);
  }
}
