/**
 * Notices that a connection has died before the browser says so, which takes it some seconds: what flowed a moment ago does not any more.
 *
 * A connection on which little comes may be silent for as long as it likes. One on which much came is asked after first: a reply is traffic too,
 * and means that there is only nothing to send. Nothing here is fatal when it is wrong: the way is sought anew beside the one there is.
 */

/** Between two looks while traffic flows, and while it is silent; milliseconds. */
const LOOK_MS = 250;
const LOOK_CLOSER_MS = 100;
/** A look that comes later than this counts as no more: the timers of a page in the background are held back, a machine may have slept. */
const MOST_COUNTED_MS = 2 * LOOK_MS;
/** Packets between two looks that are traffic, and how many such looks in a row make a flow; as many thin ones end it, and one more. */
const SEVERAL = 2;
const LOOKS = 3;
/** What a reply may take beside two round trips. */
const REPLY_MS = 200;
/** Octets that count as a packet where packets are not counted. */
const SMALL_PACKET = 200;
/** After the first time, the way is sought anew when the silence has lasted this much longer, then twice as long, … */
const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

/** Judges what was counted. Told the time; it has no timer and asks nobody. */
export class Silence {
  /** @param {number} patienceMs how long what flowed may be silent before another way is sought */
  constructor(patienceMs) {
    this.#patienceMs = patienceMs;
  }

  /** When to look again, in milliseconds. */
  get next() {
    return this.#silentMs > 0 ? LOOK_CLOSER_MS : LOOK_MS;
  }

  /**
   * Takes in a look at the connection: `ask` when somebody should ask whether the other side is there, `restart` when the way is to be sought anew.
   * @param {number} now milliseconds, of a clock that never goes back
   * @param {number} packets received so far
   * @param {number} [roundTripMs]
   * @returns {'ask' | 'restart' | null}
   */
  look(now, packets, roundTripMs = 0) {
    const first = this.#at === null;
    const passed = Math.min(now - (this.#at ?? now), MOST_COUNTED_MS);
    const grown = packets - this.#packets;
    this.#at = now;
    this.#packets = packets;
    if (first) return null;
    if (grown > 0) this.#heard(grown);
    else if (this.#flows) return this.#silent(passed, roundTripMs);
    else this.#thick = 0;
    return null;
  }

  /** @param {number} grown */
  #heard(grown) {
    if (this.#asked) {
      // It is there and has nothing to send: traffic must flow again before its silence means anything.
      this.#flows = false;
      this.#thick = 0;
    }
    this.#silentMs = 0;
    this.#asked = false;
    this.#pauseMs = FIRST_PAUSE_MS;
    if (grown >= SEVERAL) {
      this.#thick += 1;
      this.#thin = 0;
      this.#flows ||= this.#thick >= LOOKS;
    } else {
      // The last look before a death is a thin one, too.
      this.#thin += 1;
      this.#thick = 0;
      if (this.#thin > LOOKS) this.#flows = false;
    }
  }

  /**
   * @param {number} passed
   * @param {number} roundTripMs
   */
  #silent(passed, roundTripMs) {
    this.#silentMs += passed;
    if (!this.#asked) {
      if (this.#silentMs < this.#patienceMs / 4) return null;
      this.#asked = true;
      this.#restartAtMs = Math.max(this.#patienceMs, this.#silentMs + REPLY_MS + 2 * roundTripMs);
      return 'ask';
    }
    if (this.#silentMs < this.#restartAtMs) return null;
    this.#restartAtMs = this.#silentMs + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    return 'restart';
  }

  #patienceMs;
  /** The last look. @type {number | null} */
  #at = null;
  #packets = 0;
  /** Looks in a row with traffic, and with hardly any. */
  #thick = 0;
  #thin = 0;
  #flows = false;
  #silentMs = 0;
  #asked = false;
  #restartAtMs = 0;
  #pauseMs = FIRST_PAUSE_MS;
}

/**
 * Looks at one peer connection as long as it is there.
 */
export class SilenceWatch {
  /**
   * @param {RTCPeerConnection} pc
   * @param {object} told
   * @param {number} told.patienceMs as of `Silence`
   * @param {(roundTripMs: number) => void} told.ask
   * @param {() => void} told.restart
   */
  constructor(pc, { patienceMs, ask, restart }) {
    this.#pc = pc;
    this.#silence = new Silence(patienceMs);
    this.#ask = ask;
    this.#restart = restart;
    this.#later();
  }

  /** Looks no more. */
  stop() {
    clearTimeout(this.#timer);
    this.#stopped = true;
  }

  #later() {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#look(), this.#silence.next);
  }

  async #look() {
    try {
      const counted = this.#pc.connectionState === 'connected' ? await received(this.#pc) : null;
      if (counted && !this.#stopped) {
        const verdict = this.#silence.look(performance.now(), counted.packets, counted.roundTripMs);
        if (verdict === 'ask') this.#ask(counted.roundTripMs);
        else if (verdict === 'restart') this.#restart();
      }
    } catch {
      // The connection is being closed.
    }
    this.#later();
  }

  #pc;
  #silence;
  #ask;
  #restart;
  #stopped = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
}

/**
 * What the transport has received, null where the browser does not count it. One receiver's report has the transport in it, and is much the smaller
 * one; that of a slot which never carried anything is empty.
 * @param {RTCPeerConnection} pc
 */
async function received(pc) {
  for (const of of [...pc.getReceivers().slice(0, 1), pc]) {
    const report = await of.getStats();
    /** @type {any[]} */
    const entries = [...report.values()];
    const transport = entries.find(({ type }) => type === 'transport');
    const pair = entries.find(({ id }) => id === transport?.selectedCandidatePairId);
    // Firefox counts octets, and only of the pair in use.
    const packets = transport?.packetsReceived ?? (pair?.bytesReceived === undefined ? undefined : pair.bytesReceived / SMALL_PACKET);
    if (packets !== undefined) return { packets, roundTripMs: (pair?.currentRoundTripTime ?? 0) * 1_000 };
  }
  return null;
}
