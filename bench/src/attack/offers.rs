//! Offers written by hand: honest ones for attackers that must get in, and bombs.

use std::fmt::Write as _;

/// Who offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The client's ufrag.
    pub ufrag: String,
    /// The client's ICE password.
    pub password: String,
    /// The certificate's SHA-256, in pairs of hexadecimal digits.
    pub fingerprint: String,
}

impl Identity {
    /// Of a client that never connects.
    pub fn sample() -> Self {
        Self {
            ufrag: "atta".to_owned(),
            password: "0123456789abcdefghijklmn".to_owned(),
            fingerprint: vec!["AB"; 32].join(":"),
        }
    }
}

/// An offer in the making. The sections' mids are their numbers.
#[derive(Clone, Debug)]
pub struct OfferText {
    identity: Identity,
    sections: Vec<String>,
}

impl OfferText {
    /// Without m-lines.
    pub fn new(identity: Identity) -> Self {
        Self { identity, sections: Vec::new() }
    }

    /// Video that is sent with these SSRCs: media, retransmission.
    #[must_use]
    pub fn sends(self, media: u32, repair: u32) -> Self {
        let ssrcs = format!(
            "a=ssrc-group:FID {media} {repair}\r\na=ssrc:{media} cname:a\r\na=ssrc:{repair} cname:a\r\n"
        );
        self.video("sendonly", &ssrcs)
    }

    /// Video that is received.
    #[must_use]
    pub fn receives(self) -> Self {
        self.video("recvonly", "")
    }

    /// Video that is received, without a word on the line's bandwidth.
    #[must_use]
    pub fn receives_at_any_rate(mut self) -> Self {
        self.sections.push(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
             a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-mux\r\na=recvonly\r\n"
                .to_owned(),
        );
        self
    }

    /// A section of video with more attributes.
    #[must_use]
    pub fn video(mut self, direction: &str, more: &str) -> Self {
        self.sections.push(format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n\
             a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n\
             a=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
             a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-mux\r\n\
             a=extmap:1 {MID_URI}\r\na=extmap:2 {TRANSPORT_CC_URI}\r\na={direction}\r\n{more}"
        ));
        self
    }

    /// Data channels.
    #[must_use]
    pub fn data(mut self) -> Self {
        let section = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";
        self.sections.push(section.to_owned());
        self
    }

    /// Data channels beside received video.
    #[must_use]
    pub fn data_beside_video(self) -> Self {
        self.receives().data()
    }

    /// The whole text.
    pub fn write(&self) -> String {
        let Identity { ufrag, password, fingerprint } = &self.identity;
        let mids: Vec<String> = (0..self.sections.len()).map(|mid| mid.to_string()).collect();
        let mut text = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n",
            mids.join(" ")
        );
        for (section, mid) in self.sections.iter().zip(mids) {
            // The m-line and the c-line stand first.
            let at = section.match_indices("\r\n").nth(1).map_or(section.len(), |(at, _)| at + 2);
            let (head, tail) = section.split_at(at);
            let written = write!(text, "{head}a=mid:{mid}\r\n{tail}");
            debug_assert!(written.is_ok(), "text takes text");
        }
        text
    }
}

/// An offer that is too much of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bomb {
    /// Of what.
    pub name: String,
    /// The offer.
    pub sdp: String,
    /// Whether it keeps every limit and must be answered; anything else may be answered or refused.
    pub is_within_limits: bool,
}

/// Bombs around a server's limits for an offer's bytes and m-lines.
pub fn bombs(offer_bytes: usize, media_lines: usize) -> Vec<Bomb> {
    let bomb = |name: String, sdp: String, is_within_limits| Bomb { name, sdp, is_within_limits };
    let plain = || OfferText::new(Identity::sample());
    let mut bombs = Vec::new();
    for (size, within) in [
        (offer_bytes - OVERHEAD, true),
        (offer_bytes - 1, false),
        (offer_bytes, false),
        (offer_bytes + 1, false),
        (offer_bytes * 100, false),
    ] {
        let sdp = filled(plain().receives().write(), size);
        bombs.push(bomb(format!("{} bytes", sdp.len()), sdp, within));
    }
    for (count, within) in
        [(media_lines - 1, true), (media_lines, true), (media_lines + 1, false), (media_lines * 20, false)]
    {
        let mut identity = plain();
        for _ in 0..count {
            let section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\na=rtcp-mux\r\na=recvonly\r\n";
            identity.sections.push(section.to_owned());
        }
        bombs.push(bomb(format!("{count} m-lines"), identity.write(), within));
    }
    let many = |count: u32, line: fn(u32) -> String| (0..count).map(line).collect::<String>();
    let with = |name: &str, direction: &str, more: &str| {
        bomb(name.to_owned(), plain().video(direction, more).write(), false)
    };
    let ssrcs = |count| many(count, |number| format!("a=ssrc:{} cname:a\r\n", 1000 + number));
    let rids = many(4000, |number| format!("a=rid:r{number} send\r\n"));
    let simulcast = (0..4000).map(|number| format!("r{number}")).collect::<Vec<_>>().join(";");
    bombs.extend([
        bomb(
            "34 SSRCs".to_owned(),
            (0..17).fold(plain(), |offer, at| offer.sends(2 * at + 1, 2 * at + 2)).write(),
            false,
        ),
        with("15000 SSRCs", "sendonly", &ssrcs(15_000)),
        with("4000 rids", "sendonly", &format!("{rids}a=simulcast:send {simulcast}\r\n")),
        with(
            "8000 candidates",
            "recvonly",
            &many(8000, |number| format!("a=candidate:{number} 1 udp 1 10.0.0.1 9 typ host\r\n")),
        ),
        with(
            "12000 extensions",
            "recvonly",
            &many(12_000, |number| format!("a=extmap:{number} urn:x:{number}\r\n")),
        ),
        with(
            "20000 formats",
            "recvonly",
            &many(20_000, |number| format!("a=rtpmap:{} X/90000\r\n", number % 200)),
        ),
        bomb("nothing".to_owned(), String::new(), false),
        bomb("no line ends".to_owned(), "v=0 ".repeat(1000), false),
        bomb("only line ends".to_owned(), "\r\n".repeat(offer_bytes / 3), false),
    ]);
    bombs
}

/// The offer with attributes that mean nothing, up to a size.
fn filled(mut sdp: String, size: usize) -> String {
    sdp.reserve(size.saturating_sub(sdp.len()));
    while let Some(left) = size.checked_sub(sdp.len() + FRAME).filter(|left| *left > 0) {
        let length = if left > 2 * LINE { LINE } else { left };
        sdp.push_str("a=x:");
        sdp.extend(std::iter::repeat_n('x', length));
        sdp.push_str("\r\n");
    }
    sdp
}

/// The mid's header extension (RFC 8843 section 15.1).
const MID_URI: &str = crate::sdp::MID_URI;
const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// What the message around an offer may take.
const OVERHEAD: usize = 8 * 1024;
const LINE: usize = 4000;
/// What a line of filling has besides.
const FRAME: usize = "a=x:\r\n".len();

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::peer_connection::sdp::RTCSessionDescription;
    use simmer_sfu::Limits;
    use simmer_sfu::sdp::Offer;

    #[test]
    fn an_honest_offer_is_read_by_server_and_client() {
        let text = OfferText::new(Identity::sample()).sends(100, 101).receives().data().write();
        let offer = Offer::parse(&text, &Limits::default()).expect("valid");
        assert!(offer.sends_media() && offer.receives_media());
        RTCSessionDescription::offer(text).expect("valid for others, too");
    }

    #[test]
    fn bombs_go_off_at_the_limit_they_aim_at() {
        let limits = Limits::default();
        let bombs = bombs(limits.offer_bytes, limits.media_lines);
        for bomb in bombs.iter().filter(|bomb| bomb.is_within_limits) {
            Offer::parse(&bomb.sdp, &limits).unwrap_or_else(|error| panic!("{}: {error}", bomb.name));
        }
        let named = |name: &str| bombs.iter().find(|bomb| bomb.name == name).expect("there is one");
        for name in ["129 m-lines", "2560 m-lines", "524289 bytes", "52428800 bytes", "34 SSRCs"] {
            assert!(Offer::parse(&named(name).sdp, &limits).is_err(), "{name}");
        }
        assert_eq!(named("524288 bytes").sdp.len(), limits.offer_bytes);
    }
}
