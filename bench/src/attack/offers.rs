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
    /// What is to come of it.
    pub end: End,
}

/// What is to come of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It keeps every limit.
    Answered,
    /// It is beyond a limit.
    Refused,
    /// Either will do, as long as it comes soon.
    Either,
}

/// Bombs around a server's limits for an offer's bytes, m-lines, SSRCs and rids: one below, at it, one above, and a thousand times as much. A thousand times
/// the bytes are not here: they are announced only, over HTTP.
pub fn bombs(offer_bytes: usize, media_lines: usize, ssrcs: usize, rids: usize) -> Vec<Bomb> {
    use End::{Answered, Either, Refused};
    let bomb = |name: String, sdp: String, end| Bomb { name, sdp, end };
    let plain = || OfferText::new(Identity::sample());
    let mut bombs = Vec::new();
    for (size, end) in [
        (offer_bytes - OVERHEAD, Answered),
        // The message around it is too large already.
        (offer_bytes - 1, Either),
        (offer_bytes, Either),
        (offer_bytes + 1, Refused),
        (offer_bytes * 100, Refused),
    ] {
        let sdp = filled(plain().receives().write(), size);
        bombs.push(bomb(format!("{} bytes", sdp.len()), sdp, end));
    }
    for (count, end) in around(media_lines) {
        let mut identity = plain();
        for _ in 0..count {
            let section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\na=rtcp-mux\r\na=recvonly\r\n";
            identity.sections.push(section.to_owned());
        }
        bombs.push(bomb(format!("{count} m-lines"), identity.write(), end));
    }
    for (count, end) in around(ssrcs) {
        // One for each m-line, or two, of which one is for what is sent again: so a thousand times as many are too many bytes as well.
        let pairs = (0..count as u32 / 2).fold(plain(), |offer, at| offer.sends(2 * at + 1, 2 * at + 2));
        let single = |offer: OfferText| offer.video("sendonly", &format!("a=ssrc:{count} cname:a\r\n"));
        let offer = if count % 2 == 0 { pairs } else { single(pairs) };
        bombs.push(bomb(format!("{count} SSRCs"), offer.write(), end));
    }
    for (count, end) in around(rids) {
        let lines: String = (0..count).map(|number| format!("a=rid:r{number} send\r\n")).collect();
        let listed = (0..count).map(|number| format!("r{number}")).collect::<Vec<_>>().join(";");
        let offer = plain().video("sendonly", &format!("{lines}a=simulcast:send {listed}\r\n"));
        // The first ones count, and what is beyond is not sent.
        bombs.push(bomb(format!("{count} rids"), offer.write(), if end == Refused { Either } else { end }));
    }
    let many = |count: u32, line: fn(u32) -> String| (0..count).map(line).collect::<String>();
    let with = |name: &str, direction: &str, more: &str| {
        bomb(name.to_owned(), plain().video(direction, more).write(), Either)
    };
    bombs.extend([
        with(
            "15000 SSRCs of one m-line",
            "sendonly",
            &many(15_000, |number| format!("a=ssrc:{} cname:a\r\n", 1000 + number)),
        ),
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
        bomb("nothing".to_owned(), String::new(), Refused),
        bomb("no line ends".to_owned(), "v=0 ".repeat(1000), Refused),
        bomb("only line ends".to_owned(), "\r\n".repeat(offer_bytes / 3), Refused),
    ]);
    bombs
}

/// How many of something there may be, and what is to come of it.
fn around(limit: usize) -> [(usize, End); 4] {
    [
        (limit - 1, End::Answered),
        (limit, End::Answered),
        (limit + 1, End::Refused),
        (limit * 1000, End::Refused),
    ]
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
        let bombs = bombs(
            limits.offer_bytes,
            limits.media_lines,
            limits.ssrcs_per_participant,
            limits.encodings_per_publication,
        );
        for Bomb { name, sdp, end } in &bombs {
            let read = Offer::parse(sdp, &limits);
            match end {
                End::Answered => drop(read.unwrap_or_else(|error| panic!("{name}: {error}"))),
                End::Refused => assert!(read.is_err(), "{name}"),
                End::Either => {}
            }
        }
        let named = |name: &str| bombs.iter().find(|bomb| bomb.name == name).expect("there is one");
        for name in [
            "127 m-lines",
            "128000 m-lines",
            "31 SSRCs",
            "32 SSRCs",
            "33 SSRCs",
            "3 rids",
            "4 rids",
            "4000 rids",
        ] {
            named(name);
        }
        assert_eq!(named("524288 bytes").sdp.len(), limits.offer_bytes);
    }
}
