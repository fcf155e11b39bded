//! What the bench reads from session descriptions, line by line.

use std::net::{IpAddr, SocketAddr};

use crate::source::MediaKind;

/// One m-line with its attributes, as far as a client here needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaSection {
    /// Audio or video; none for anything else.
    pub kind: Option<MediaKind>,
    /// The section's name.
    pub mid: String,
    /// Whether the m-line's port is 0.
    pub rejected: bool,
    /// The first SSRC that sends media here.
    pub ssrc: Option<u32>,
    /// The SSRC that retransmits it (RFC 5576 section 4.2).
    pub rtx_ssrc: Option<u32>,
    /// The payload type of VP8 or Opus.
    pub payload_type: Option<u8>,
    /// The payload type that retransmits it.
    pub rtx_payload_type: Option<u8>,
    /// The header extension that carries the mid.
    pub mid_extension: Option<u8>,
    /// The header extension that carries the transport-wide number.
    pub transport_extension: Option<u8>,
}

/// The sections of a description, in its order.
pub fn sections(sdp: &str) -> Vec<MediaSection> {
    let mut sections: Vec<MediaSection> = Vec::new();
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            let kind = match words.next() {
                Some("video") => Some(MediaKind::Video),
                Some("audio") => Some(MediaKind::Audio),
                _ => None,
            };
            sections.push(MediaSection {
                kind,
                rejected: words.next() == Some("0"),
                ..MediaSection::default()
            });
        } else if let Some(section) = sections.last_mut() {
            section.read(line);
        }
    }
    sections
}

impl MediaSection {
    fn read(&mut self, line: &str) {
        if let Some(mid) = line.strip_prefix("a=mid:") {
            self.mid = mid.trim().to_owned();
        } else if let Some(group) = line.strip_prefix("a=ssrc-group:FID ") {
            let mut ssrcs = group.split(' ').map(|word| word.trim().parse().ok());
            self.ssrc = ssrcs.next().flatten();
            self.rtx_ssrc = ssrcs.next().flatten();
        } else if let Some(ssrc) = line.strip_prefix("a=ssrc:") {
            let ssrc = ssrc.split(' ').next().and_then(|word| word.parse().ok());
            self.ssrc = self.ssrc.or(ssrc);
        } else if let Some((payload_type, codec)) =
            line.strip_prefix("a=rtpmap:").and_then(|map| map.split_once(' '))
        {
            let codec = codec.to_ascii_lowercase();
            if codec.starts_with("vp8/") || codec.starts_with("opus/") {
                self.payload_type = self.payload_type.or(payload_type.parse().ok());
            } else if codec.starts_with("rtx/") {
                self.rtx_payload_type = self.rtx_payload_type.or(payload_type.parse().ok());
            }
        } else if let Some((id, uri)) = line.strip_prefix("a=extmap:").and_then(|map| map.split_once(' ')) {
            let id = id.split('/').next().and_then(|id| id.parse().ok());
            match uri.trim() {
                MID_URI => self.mid_extension = id,
                TRANSPORT_URI => self.transport_extension = id,
                _ => {}
            }
        }
    }
}

/// Which of a server's candidates a client may use.
#[derive(Clone, Copy, Debug)]
pub struct CandidateRule {
    /// Candidates at other addresses are left out, unless this is none.
    pub only: Option<IpAddr>,
    /// Replaces the candidates' port.
    pub port: Option<u16>,
}

impl CandidateRule {
    /// The description with its candidate lines filtered and changed, and the addresses that stay.
    pub fn apply(&self, sdp: &str) -> (String, Vec<SocketAddr>) {
        let mut out = String::with_capacity(sdp.len());
        let mut addresses = Vec::new();
        for line in sdp.lines() {
            let Some(candidate) = line.strip_prefix("a=candidate:") else {
                out.push_str(line);
                out.push_str("\r\n");
                continue;
            };
            let mut words: Vec<String> = candidate.split(' ').map(str::to_owned).collect();
            if let Some(port) = self.port
                && let Some(word) = words.get_mut(5)
            {
                *word = port.to_string();
            }
            let ip = words.get(4).and_then(|word| word.parse::<IpAddr>().ok());
            let port = words.get(5).and_then(|word| word.parse::<u16>().ok());
            let udp = words.get(2).is_some_and(|word| word.eq_ignore_ascii_case("udp"));
            if let (Some(ip), Some(port), true) = (ip, port, udp)
                && self.only.is_none_or(|only| only == ip)
            {
                out.push_str(&format!("a=candidate:{}\r\n", words.join(" ")));
                let address = SocketAddr::new(ip, port);
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        (out, addresses)
    }

    /// What to say of a description of which no candidate stays.
    pub fn complaint(&self, sdp: &str) -> String {
        let (_, elsewhere) = Self { only: None, port: None }.apply(sdp);
        let place = self.only.map_or_else(|| "any address".to_owned(), |ip| ip.to_string());
        let elsewhere: Vec<String> = elsewhere.iter().map(SocketAddr::to_string).collect();
        match elsewhere.is_empty() {
            true => format!("the server's answer has no UDP candidate at {place}"),
            false => format!(
                "the server's answer has no UDP candidate at {place}, where it was asked, but at {}",
                elsewhere.join(", ")
            ),
        }
    }
}

/// The description with the ports of its UDP candidates replaced.
///
/// # Errors
/// What `port` says of an address.
pub fn with_ports<E>(sdp: &str, mut port: impl FnMut(SocketAddr) -> Result<u16, E>) -> Result<String, E> {
    let mut out = String::with_capacity(sdp.len());
    for line in sdp.lines() {
        // One line at a time, to have the address of each.
        let (same, addresses) = CandidateRule { only: None, port: None }.apply(line);
        match addresses.first() {
            Some(address) => {
                out.push_str(&CandidateRule { only: None, port: Some(port(*address)?) }.apply(line).0)
            }
            None => out.push_str(&same),
        }
    }
    Ok(out)
}

/// The mid's header extension (RFC 8843 section 15.1).
pub const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// The transport-wide number's header extension (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2).
pub const TRANSPORT_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 127.0.0.1 7443 typ host\r\n\
        a=candidate:2 1 udp 2130706430 192.0.2.7 7443 typ host\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=extmap:3/recvonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=ssrc-group:FID 100 101\r\na=ssrc:100 cname:s\r\na=ssrc:101 cname:s\r\n\
        m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n";

    #[test]
    fn sections_have_what_a_client_needs() {
        let sections = sections(ANSWER);
        assert_eq!(
            sections[0],
            MediaSection {
                kind: Some(MediaKind::Video),
                mid: "0".into(),
                rejected: false,
                ssrc: Some(100),
                rtx_ssrc: Some(101),
                payload_type: Some(96),
                rtx_payload_type: Some(97),
                mid_extension: Some(4),
                transport_extension: Some(3),
            }
        );
        assert_eq!((sections[1].kind, sections[1].rejected, sections[1].mid.as_str()), (None, true, "1"));
    }

    #[test]
    fn candidates_elsewhere_are_left_out_and_ports_changed() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let rule = CandidateRule { only: Some(local), port: Some(9000) };
        let (sdp, addresses) = rule.apply(ANSWER);
        assert_eq!(addresses, [SocketAddr::new(local, 9000)]);
        assert!(sdp.contains("a=candidate:1 1 udp 2130706431 127.0.0.1 9000 typ host\r\n"));
        assert!(!sdp.contains("192.0.2.7"));
        let (same, addresses) = CandidateRule { only: None, port: None }.apply(ANSWER);
        assert_eq!((same.as_str(), addresses.len()), (ANSWER, 2));
        let (_, none) = CandidateRule { only: Some([10, 0, 0, 1].into()), port: None }.apply(ANSWER);
        assert!(none.is_empty());
        let complaint = CandidateRule { only: Some([10, 0, 0, 1].into()), port: None }.complaint(ANSWER);
        assert!(
            complaint.ends_with("at 10.0.0.1, where it was asked, but at 127.0.0.1:7443, 192.0.2.7:7443"),
            "{complaint}"
        );
        let moved: Result<String, ()> =
            with_ports(ANSWER, |address| Ok(address.port() + u16::from(address.ip() == local)));
        assert_eq!(moved, Ok(ANSWER.replace("127.0.0.1 7443", "127.0.0.1 7444")));
    }
}
