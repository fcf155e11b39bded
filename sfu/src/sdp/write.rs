//! The answer's text.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};

use super::answer::way;
use super::extensions;
use super::offer::{Body, Line, Media, SCTP_PORT};
use super::{DtlsRole, Flow, IceCredentials, Local, MediaLine, Negotiated, Offer, SlotIdentity};
use crate::codec::{Codec, Kind};
use crate::id::Mid;

/// Writes the answer to `offer` that says what was decided.
pub(super) fn write(offer: &Offer, negotiated: &Negotiated, local: &Local<'_>) -> String {
    let mut text = Text::default();
    text.line(format_args!("v=0"));
    text.line(format_args!("o=- {} {} IN IP4 0.0.0.0", local.session_id, local.session_version));
    text.line(format_args!("s=-"));
    text.line(format_args!("t=0 0"));
    let bundled = bundled(offer);
    if offer.bundle.is_some() {
        let mids: String = bundled.iter().map(|mid| format!(" {mid}")).collect();
        text.line(format_args!("a=group:BUNDLE{mids}"));
    }
    text.line(format_args!("a=ice-lite"));
    if offer.extmap_allow_mixed {
        text.line(format_args!("a=extmap-allow-mixed"));
    }
    text.line(format_args!("a=msid-semantic:WMS *"));

    let tagged = bundled.first().copied();
    let mut decided = negotiated.media.iter();
    for line in &offer.lines {
        // Those without a mid and those of other media are not in the decision.
        let decision = match (&line.body, line.mid) {
            (Body::Media(_) | Body::Rejected(Some(_)), Some(_)) => decided.next(),
            _ => None,
        };
        let formats = match (&line.body, decision) {
            (Body::Data, _) => line.format.clone(),
            (Body::Media(_), Some(decision)) => payload_types(decision),
            _ => {
                text.rejected(line);
                continue;
            }
        };
        text.accepted(line, &formats, local);
        text.transport(negotiated.dtls_role, local);
        if line.mid == tagged {
            text.candidates(local.candidates);
        }
        match (&line.body, decision) {
            (Body::Media(offered), Some(decision)) => text.media(offered, decision),
            _ => {
                text.line(format_args!("a=sctp-port:{SCTP_PORT}"));
                text.line(format_args!("a=max-message-size:{}", offer.message_bytes));
            }
        }
    }
    text.0
}

/// Writes the fragment that answers an ICE restart (RFC 9725 section 4.3.3), with our new credentials. Its m-line says nothing but whose
/// candidates they are (RFC 8840 section 9.2).
pub(crate) fn write_fragment(
    negotiated: &Negotiated,
    ice: &IceCredentials,
    candidates: &[SocketAddr],
) -> String {
    let mut text = Text::default();
    text.line(format_args!("a=ice-lite"));
    text.line(format_args!("m=audio {DISCARD_PORT} RTP/AVP 0"));
    if let Some(line) = negotiated.media.iter().find(|line| line.flow != Flow::Nothing) {
        text.line(format_args!("a=mid:{}", line.mid));
    }
    text.credentials(ice);
    text.candidates(candidates);
    text.0
}

/// The mids of what is accepted, in the bundle's order: the first one is tagged (RFC 9143 section 7.3).
fn bundled(offer: &Offer) -> Vec<Mid> {
    let accepted = offer.lines.iter().filter(|line| !matches!(line.body, Body::Rejected(_)));
    let accepted: Vec<Mid> = accepted.filter_map(|line| line.mid).collect();
    match &offer.bundle {
        None => accepted,
        Some(group) => {
            let accepted: std::collections::BTreeSet<Mid> = accepted.into_iter().collect();
            group.iter().copied().filter(|mid| accepted.contains(mid)).collect()
        }
    }
}

fn payload_types(decision: &MediaLine) -> String {
    let numbers = decision
        .codecs
        .iter()
        .flat_map(|codec| [codec.red_payload_type, Some(codec.payload_type), codec.rtx_payload_type]);
    numbers.flatten().map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{line}\r\n");
    }

    fn rejected(&mut self, line: &Line) {
        self.line(format_args!("m={} 0 {} {}", line.media, line.protocol, line.format));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        if let Some(mid) = line.mid {
            self.line(format_args!("a=mid:{mid}"));
        }
        self.line(format_args!("a=inactive"));
    }

    /// The m-line with the default destination, which is the preferred candidate.
    fn accepted(&mut self, line: &Line, formats: &str, local: &Local<'_>) {
        let (address, port) = match local.candidates.first() {
            Some(candidate) => (candidate.ip(), candidate.port()),
            None => (IpAddr::from([0, 0, 0, 0]), DISCARD_PORT),
        };
        let family = match address {
            IpAddr::V4(_) => "IP4",
            IpAddr::V6(_) => "IP6",
        };
        self.line(format_args!("m={} {port} {} {formats}", line.media, line.protocol));
        self.line(format_args!("c=IN {family} {address}"));
        if let Some(mid) = line.mid.filter(|_| !line.nameless) {
            self.line(format_args!("a=mid:{mid}"));
        }
    }

    /// What holds for the whole bundle. RFC 9143 section 7.1.3 has it on the tagged m-line alone; browsers repeat it, and aiortc takes no
    /// m-line without it.
    fn transport(&mut self, role: DtlsRole, local: &Local<'_>) {
        self.credentials(local.ice);
        let digest = local.fingerprint.0.map(|byte| format!("{byte:02X}")).join(":");
        self.line(format_args!("a=fingerprint:sha-256 {digest}"));
        let setup = match role {
            DtlsRole::Server => "passive",
            DtlsRole::Client => "active",
        };
        self.line(format_args!("a=setup:{setup}"));
    }

    fn credentials(&mut self, ice: &IceCredentials) {
        self.line(format_args!("a=ice-ufrag:{}", ice.ufrag));
        self.line(format_args!("a=ice-pwd:{}", ice.pwd));
    }

    fn candidates(&mut self, candidates: &[SocketAddr]) {
        for (candidate, preference) in candidates.iter().zip((0..=u16::MAX).rev()) {
            self.candidate(*candidate, preference);
        }
        self.line(format_args!("a=end-of-candidates"));
    }

    /// RFC 8839 section 5.1; the priority is that of RFC 8445 section 5.1.2.1 for host candidates.
    fn candidate(&mut self, candidate: SocketAddr, preference: u16) {
        let priority = (126_u32 << 24) | (u32::from(preference) << 8) | 255;
        let foundation = u16::MAX.wrapping_sub(preference);
        let (address, port) = (candidate.ip(), candidate.port());
        self.line(format_args!("a=candidate:{foundation} 1 udp {priority} {address} {port} typ host"));
    }

    fn media(&mut self, offered: &Media, decision: &MediaLine) {
        let way = way(&decision.flow);
        for agreed in extensions::agreed(&offered.extensions, decision.kind, way) {
            let (id, direction, uri) = (agreed.id, agreed.answered_direction(), agreed.extension.uri());
            self.line(format_args!("a=extmap:{id}{direction} {uri}"));
        }
        self.line(format_args!(
            "a={}",
            match decision.flow {
                Flow::Nothing => "inactive",
                Flow::Receive { .. } => "recvonly",
                Flow::Send(_) => "sendonly",
            }
        ));
        self.line(format_args!("a=rtcp-mux"));
        if offered.rtcp_rsize {
            self.line(format_args!("a=rtcp-rsize"));
        }
        self.formats(offered, decision);
        match &decision.flow {
            Flow::Nothing => {}
            Flow::Receive { .. } => self.simulcast(offered),
            Flow::Send(slot) => self.slot(slot, decision),
        }
    }

    fn formats(&mut self, offered: &Media, decision: &MediaLine) {
        for (format, offered) in decision.codecs.iter().zip(&offered.formats) {
            let number = format.payload_type;
            let channels = if format.codec == Codec::Opus { "/2" } else { "" };
            let (name, clock) = (format.codec.name(), format.codec.clock_rate());
            if let Some(red) = format.red_payload_type {
                self.line(format_args!("a=rtpmap:{red} red/{clock}{channels}"));
                self.line(format_args!("a=fmtp:{red} {number}/{number}"));
            }
            self.line(format_args!("a=rtpmap:{number} {name}/{clock}{channels}"));
            if !format.parameters.is_empty() {
                self.line(format_args!("a=fmtp:{number} {}", format.parameters));
            }
            for (agreed, feedback) in [
                (format.transport_cc, "transport-cc"),
                (format.remb, "goog-remb"),
                (offered.fir, "ccm fir"),
                (format.nack, "nack"),
                (format.pli, "nack pli"),
            ] {
                if agreed {
                    self.line(format_args!("a=rtcp-fb:{number} {feedback}"));
                }
            }
            if let Some(rtx) = format.rtx_payload_type {
                self.line(format_args!("a=rtpmap:{rtx} rtx/{clock}"));
                self.line(format_args!("a=fmtp:{rtx} apt={number}"));
            }
        }
    }

    fn simulcast(&mut self, offered: &Media) {
        let rids = &offered.simulcast.rids;
        for rid in rids {
            self.line(format_args!("a=rid:{rid} recv"));
        }
        if offered.simulcast.offered {
            let list = rids.iter().map(|rid| rid.as_str()).collect::<Vec<_>>().join(";");
            self.line(format_args!("a=simulcast:recv {list}"));
        }
    }

    /// What lets a browser make one track of a slot, whatever is in it.
    fn slot(&mut self, slot: &SlotIdentity, decision: &MediaLine) {
        let SlotIdentity { ssrc, rtx_ssrc, stream } = slot;
        let (mid, ssrc) = (decision.mid, ssrc.0);
        self.line(format_args!("a=msid:{stream} slot-{mid}"));
        let has_rtx = decision.kind == Kind::Video
            && decision.codecs.iter().any(|codec| codec.rtx_payload_type.is_some());
        let rtx_ssrc = rtx_ssrc.filter(|_| has_rtx).map(|ssrc| ssrc.0);
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        self.line(format_args!("a=ssrc:{ssrc} cname:{stream}"));
        if let Some(rtx_ssrc) = rtx_ssrc {
            self.line(format_args!("a=ssrc:{rtx_ssrc} cname:{stream}"));
        }
    }
}

/// The default destination's port when there is no candidate (RFC 8839 section 4.3.1).
const DISCARD_PORT: u16 = 9;
