//! What offer and answer agreed on.

use super::profile;
use crate::codec::{Codec, Kind};
use crate::id::{Mid, Rid, Ssrc};

/// ICE user fragment and password (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// 4 to 256 characters.
    pub ufrag: String,
    /// 22 to 256 characters. A secret: never logged.
    pub pwd: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// A certificate's SHA-256 fingerprint (RFC 8122).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint(pub [u8; 32]);

/// Which side of the DTLS handshake we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtlsRole {
    /// We wait for the ClientHello: the answer says `setup:passive`. The usual case.
    Server,
    /// The offer said `setup:passive`: we start, the answer says `setup:active`.
    Client,
}

/// What an answer tells of one slot; the same at every negotiation for a mid, whatever slots come and go around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotIdentity {
    /// Of the media packets.
    pub ssrc: Ssrc,
    /// Of retransmissions (RFC 4588), for video.
    pub rtx_ssrc: Option<Ssrc>,
    /// The stream that video slot i and audio slot i share, for lip-sync.
    pub stream: String,
}

/// What offer and answer agreed on.
#[derive(Clone, PartialEq, Debug)]
pub struct Negotiated {
    /// The client's ICE credentials.
    pub ice: IceCredentials,
    /// The client's certificate.
    pub fingerprint: Fingerprint,
    /// Our side of DTLS.
    pub dtls_role: DtlsRole,
    /// The audio and video m-lines, in order.
    pub media: Vec<MediaLine>,
    /// Whether there is an SCTP m-line.
    pub data: bool,
}

/// One audio or video m-line.
#[derive(Clone, PartialEq, Debug)]
pub struct MediaLine {
    /// Its tag.
    pub mid: Mid,
    /// Audio or video.
    pub kind: Kind,
    /// What flows, seen from us.
    pub flow: Flow,
    /// The codecs in common, the preferred one first; never empty unless [`Flow::Nothing`].
    pub codecs: Vec<PayloadFormat>,
    /// Header extensions in common.
    pub extensions: Extensions,
}

/// What flows on an m-line.
#[derive(Clone, PartialEq, Debug)]
pub enum Flow {
    /// Rejected, stopped or inactive.
    Nothing,
    /// The client sends: a publication.
    Receive {
        /// The simulcast rids in the order offered; empty when it is one stream.
        rids: Vec<Rid>,
        /// SSRCs announced, each with its retransmission SSRC. Empty for simulcast, as browsers do: streams are then found by rid.
        ssrcs: Vec<(Ssrc, Option<Ssrc>)>,
    },
    /// We send: a slot.
    Send(SlotIdentity),
}

/// One codec with its payload types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayloadFormat {
    /// Which codec.
    pub codec: Codec,
    /// Its payload type on this m-line.
    pub payload_type: u8,
    /// The payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// The payload type in which its packets carry earlier ones once more (RFC 2198), for audio, where the client prefers that.
    pub red_payload_type: Option<u8>,
    /// Format parameters as agreed, without the payload type, e.g. `minptime=10;useinbandfec=1`. Empty when there are none.
    pub parameters: String,
    /// Generic NACK agreed (RFC 4585).
    pub nack: bool,
    /// Picture loss indication agreed (RFC 4585).
    pub pli: bool,
    /// Transport-wide congestion control feedback agreed.
    pub transport_cc: bool,
    /// The client's own estimate of its line agreed (draft-alvestrand-rmcat-remb-03).
    pub remb: bool,
}

impl PayloadFormat {
    /// The one of `formats` by which this one's packets can be decoded: with the same profile, or one that includes it.
    pub fn among<'a>(&self, formats: &'a [Self]) -> Option<&'a Self> {
        let same = formats.iter().filter(|format| format.codec == self.codec);
        // Of equally good ones the first is the one that the client prefers.
        same.filter_map(|format| Some((profile::distance(self, format)?, format)))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, format)| format)
    }
}

/// The ids of header extensions on an m-line (RFC 8285), 1 to 14; `None` where not agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    pub mid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    pub rid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    pub repaired_rid: Option<u8>,
    /// Transport-wide sequence number.
    pub transport_cc: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    pub audio_level: Option<u8>,
    /// The dependency descriptor (AV1 RTP specification, appendix A).
    pub dependency: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`: how long pictures are held back. Only from us.
    pub playout_delay: Option<u8>,
    /// Absolute send time.
    pub abs_send_time: Option<u8>,
}
