/** A browser's peer connection without a network: m-lines get their mids with each offer, and an answer is taken as it comes. */
export class FakePeerConnection {
  /** Every one that was made, in order. @type {FakePeerConnection[]} */
  static all = [];

  transceivers = [];
  /** With which options offers were made. */
  offered = [];
  connectionState = 'new';
  #mids = 0;

  constructor() {
    FakePeerConnection.all.push(this);
  }

  addTransceiver(what, { direction, sendEncodings = [{}] }) {
    const track = typeof what === 'string' ? null : what;
    const transceiver = {
      mid: null,
      direction,
      stopped: false,
      stop() {
        this.stopped = true;
      },
      sender: {
        track,
        encodings: sendEncodings.map((encoding) => ({ active: true, ...encoding })),
        async replaceTrack(next) {
          this.track = next;
        },
        getParameters() {
          return { encodings: this.encodings.map((encoding) => ({ ...encoding })) };
        },
        async setParameters({ encodings }) {
          this.encodings = encodings;
        },
      },
      receiver: { track: { kind: track?.kind ?? what } },
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  createDataChannel() {
    return { readyState: 'connecting', bufferedAmount: 0, send() {} };
  }

  async createOffer(options) {
    this.offered.push(options);
    return { type: 'offer', sdp: 'v=0' };
  }

  async setLocalDescription(description) {
    for (const transceiver of this.transceivers) {
      if (!transceiver.stopped && transceiver.mid === null) transceiver.mid = String(this.#mids++);
    }
    this.localDescription = description;
  }

  async setRemoteDescription(description) {
    this.remoteDescription = description;
  }

  becomes(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close() {
    this.connectionState = 'closed';
  }

  static get last() {
    return FakePeerConnection.all[FakePeerConnection.all.length - 1];
  }
}

/** A track that shows nothing. */
export class FakeTrack {
  enabled = true;

  constructor(kind, height = 720) {
    this.kind = kind;
    this.height = height;
  }

  getSettings() {
    return { height: this.height };
  }
}

export class FakeStream {
  #tracks;

  constructor(tracks = []) {
    this.#tracks = [...tracks];
  }

  getTracks() {
    return this.#tracks;
  }
}
