//! What servers answer, in the one form that the stack here takes; or why it cannot be taken.
//!
//! Servers differ in what they write where: transport attributes in the session or in each section, sections without mid, streams
//! without SSRC, extensions that were not offered. What both sides need is the same and little, so it is written anew.

use std::fmt::Write as _;

use crate::sdp::{MID_URI, MediaSection, TRANSPORT_URI, sections};
use crate::source::MediaKind;

/// An answer that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the stack, with the offer's mids and payload types.
    pub description: String,
    /// What the server said of each section, with the offer's mids.
    pub sections: Vec<MediaSection>,
}

/// Why an answer cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Sections were left out or added (RFC 3264 section 6).
    #[error("the answer has {answered} m-lines to the {offered} of the offer")]
    Sections {
        /// Sections of the answer.
        answered: usize,
        /// Sections of the offer.
        offered: usize,
    },
    /// A section is of another kind than the one it answers.
    #[error("the answer's {answered} m-line stands where the offer has {offered}")]
    Order {
        /// What the answer has there.
        answered: String,
        /// What the offer has there.
        offered: &'static str,
    },
    /// A section that was offered is not wanted.
    #[error("the server rejects {kind} in {offered}")]
    Rejected {
        /// Audio or video.
        kind: &'static str,
        /// The codec that was offered.
        offered: &'static str,
    },
    /// The only codec the bench has is not among the answer's.
    #[error("the server answers {kind} in {answered}, and the bench has {offered} only")]
    Codec {
        /// Audio or video.
        kind: &'static str,
        /// The answer's codecs.
        answered: String,
        /// The codec that was offered.
        offered: &'static str,
    },
    /// A section does not go the offered way.
    #[error("the server answers {kind} with a={direction}: it does not {should} it")]
    Direction {
        /// Audio or video.
        kind: &'static str,
        /// The answer's direction.
        direction: &'static str,
        /// What it should do with it.
        should: &'static str,
    },
    /// RTCP is to have a port of its own.
    #[error("the answer has no a=rtcp-mux")]
    NoRtcpMux,
    /// Sections are to have transports of their own.
    #[error("the answer does not bundle: its sections have different transports")]
    NotBundled,
    /// ICE or DTLS cannot begin without it.
    #[error("the answer has no a={0}")]
    Missing(&'static str),
    /// Who begins DTLS is left open (RFC 5763 section 5).
    #[error("the answer says a=setup:{0}, which is no answer")]
    Setup(String),
}

impl Answer {
    /// Reads an answer to that offer, which only sends or only receives.
    ///
    /// # Errors
    /// [`AnswerError`], by the first reason found.
    pub fn read(offer: &str, answer: &str) -> Result<Self, AnswerError> {
        let offered = sections(offer);
        let mut answered = sections(answer);
        if offered.len() != answered.len() {
            return Err(AnswerError::Sections { answered: answered.len(), offered: offered.len() });
        }
        let (session, media) = parts(answer);
        let (_, offered_media) = parts(offer);
        for (((own, section), lines), own_lines) in
            offered.iter().zip(&mut answered).zip(&media).zip(&offered_media)
        {
            check_section(own, section, lines, Direction::of(own_lines))?;
            section.mid.clone_from(&own.mid);
        }
        let transport = Transport::read(&session, &media)?;
        let mut description = transport.head(&offered);
        for (index, ((own, section), own_lines)) in
            offered.iter().zip(&answered).zip(&offered_media).enumerate()
        {
            let sends = Direction::of(own_lines) == Direction::RecvOnly;
            write_section(&mut description, own, section, index, sends);
            description.push_str(&transport.lines());
            if index == 0 {
                description.extend(transport.candidates.iter().map(|line| format!("{line}\r\n")));
            }
        }
        Ok(Self { description, sections: answered })
    }
}

fn check_section(
    own: &MediaSection,
    section: &MediaSection,
    lines: &[&str],
    offered: Direction,
) -> Result<(), AnswerError> {
    let kind = own.kind.map_or("", name_of);
    if own.kind != section.kind {
        let answered = lines.first().and_then(|line| line.strip_prefix("m=")?.split(' ').next());
        return Err(AnswerError::Order { answered: answered.unwrap_or_default().to_owned(), offered: kind });
    }
    let codec = own.kind.map_or("", codec_of);
    if section.payload_type.is_none() {
        let answered = codecs(lines);
        return Err(match answered.is_empty() {
            true => AnswerError::Rejected { kind, offered: codec },
            false => AnswerError::Codec { kind, answered, offered: codec },
        });
    }
    if section.rejected {
        return Err(AnswerError::Rejected { kind, offered: codec });
    }
    let direction = Direction::of(lines);
    let (wanted, should) = match offered {
        Direction::RecvOnly => (Direction::SendOnly, "send"),
        _ => (Direction::RecvOnly, "take"),
    };
    if direction != wanted && direction != Direction::SendRecv {
        return Err(AnswerError::Direction { kind, direction: direction.name(), should });
    }
    if !lines.iter().any(|line| line.trim_end() == "a=rtcp-mux") {
        return Err(AnswerError::NoRtcpMux);
    }
    Ok(())
}

/// What ICE and DTLS need, which is the same for all sections (RFC 9143).
struct Transport<'a> {
    lite: bool,
    ufrag: &'a str,
    password: &'a str,
    fingerprint: &'a str,
    setup: &'a str,
    candidates: Vec<&'a str>,
}

impl<'a> Transport<'a> {
    fn read(session: &[&'a str], media: &[Vec<&'a str>]) -> Result<Self, AnswerError> {
        let first = |name: &str| media.iter().chain([&session.to_vec()]).find_map(|lines| value(lines, name));
        let same = |name: &str| {
            let mut values = media.iter().filter_map(|lines| value(lines, name));
            let one = values.next();
            values.all(|other| Some(other) == one)
        };
        if !same("ice-ufrag") || !same("ice-pwd") {
            return Err(AnswerError::NotBundled);
        }
        let strongest = session.iter().chain(media.iter().flatten()).find_map(|line| {
            line.strip_prefix("a=fingerprint:")
                .filter(|value| value.to_ascii_lowercase().starts_with("sha-256 "))
        });
        let fingerprint = strongest.map(str::trim_end).or_else(|| first("fingerprint"));
        let setup = match first("setup") {
            Some(setup @ ("active" | "passive")) => setup,
            // RFC 4145 section 4.1: who says nothing waits.
            None => "passive",
            Some(other) => return Err(AnswerError::Setup(other.to_owned())),
        };
        let mut candidates = Vec::new();
        for line in session.iter().chain(media.iter().flatten()).map(|line| line.trim_end()) {
            // Its second word is the component, of which 2 is for RTCP on a port of its own.
            let first = line.strip_prefix("a=candidate:").and_then(|candidate| candidate.split(' ').nth(1))
                == Some("1");
            if first && !candidates.contains(&line) {
                candidates.push(line);
            }
        }
        Ok(Self {
            lite: session.iter().any(|line| line.trim_end() == "a=ice-lite"),
            ufrag: first("ice-ufrag").ok_or(AnswerError::Missing("ice-ufrag"))?,
            password: first("ice-pwd").ok_or(AnswerError::Missing("ice-pwd"))?,
            fingerprint: fingerprint.ok_or(AnswerError::Missing("fingerprint"))?,
            setup,
            candidates,
        })
    }

    fn head(&self, offered: &[MediaSection]) -> String {
        let mids: Vec<&str> = offered.iter().map(|section| section.mid.as_str()).collect();
        let lite = if self.lite { "a=ice-lite\r\n" } else { "" };
        let mids = mids.join(" ");
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{lite}a=group:BUNDLE {mids}\r\n")
    }

    /// The lines of one section; the stack reads these nowhere else.
    fn lines(&self) -> String {
        let Self { ufrag, password, fingerprint, setup, .. } = self;
        format!(
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n"
        )
    }
}

/// Writes a section as the stack takes it; `sends` says whether the server does.
fn write_section(out: &mut String, own: &MediaSection, section: &MediaSection, index: usize, sends: bool) {
    let Some((kind, payload_type)) = own.kind.zip(own.payload_type) else { return };
    let rtx = own.rtx_payload_type.filter(|_| section.rtx_payload_type.is_some());
    let (media, clock) = match kind {
        MediaKind::Video => ("video", "VP8/90000"),
        MediaKind::Audio => ("audio", "opus/48000/2"),
    };
    let formats = rtx.map_or_else(|| payload_type.to_string(), |rtx| format!("{payload_type} {rtx}"));
    let direction = if sends { "sendonly" } else { "recvonly" };
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _written = write!(out, "{text}\r\n");
    };
    line(format_args!("m={media} 9 UDP/TLS/RTP/SAVPF {formats}"));
    line(format_args!("c=IN IP4 0.0.0.0"));
    line(format_args!("a=mid:{}", own.mid));
    line(format_args!("a={direction}"));
    line(format_args!("a=rtcp-mux"));
    line(format_args!("a=rtpmap:{payload_type} {clock}"));
    if let Some(rtx) = rtx {
        line(format_args!("a=rtpmap:{rtx} rtx/90000"));
        line(format_args!("a=fmtp:{rtx} apt={payload_type}"));
    }
    for (id, uri) in [(section.mid_extension, MID_URI), (section.transport_extension, TRANSPORT_URI)] {
        if let Some(id) = id {
            line(format_args!("a=extmap:{id} {uri}"));
        }
    }
    if sends {
        // The stack wants one; a stream that the server announces none for is told by its packets.
        let ssrc = section.ssrc.unwrap_or(UNANNOUNCED + index as u32);
        if let (Some(ssrc), Some(rtx)) = (section.ssrc, section.rtx_ssrc) {
            line(format_args!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        line(format_args!("a=ssrc:{ssrc} cname:server"));
        if let Some(rtx) = section.rtx_ssrc {
            line(format_args!("a=ssrc:{rtx} cname:server"));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// Of a section; who says nothing does both (RFC 3264 section 5.1).
    fn of(lines: &[&str]) -> Self {
        let said = lines.iter().find_map(|line| match line.trim_end() {
            "a=sendrecv" => Some(Self::SendRecv),
            "a=sendonly" => Some(Self::SendOnly),
            "a=recvonly" => Some(Self::RecvOnly),
            "a=inactive" => Some(Self::Inactive),
            _ => None,
        });
        said.unwrap_or(Self::SendRecv)
    }

    fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// The session's lines, and those of each section.
fn parts(sdp: &str) -> (Vec<&str>, Vec<Vec<&str>>) {
    let (mut session, mut media) = (Vec::new(), Vec::<Vec<&str>>::new());
    for line in sdp.lines() {
        if line.starts_with("m=") {
            media.push(Vec::new());
        }
        media.last_mut().unwrap_or(&mut session).push(line);
    }
    (session, media)
}

/// The value of a section's first attribute of that name.
fn value<'a>(lines: &[&'a str], name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':');
    lines.iter().find_map(|line| of(line)).map(str::trim_end)
}

/// The names of a section's codecs, without those that only repair.
fn codecs(lines: &[&str]) -> String {
    let name = |line: &&str| {
        let (_, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        Some(codec.split('/').next().unwrap_or(codec).trim().to_owned())
    };
    let mut names: Vec<String> = lines.iter().filter_map(name).collect();
    names
        .retain(|name| !["rtx", "red", "ulpfec", "flexfec-03"].contains(&name.to_ascii_lowercase().as_str()));
    names.dedup();
    names.join(", ")
}

fn name_of(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
    }
}

fn codec_of(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Video => "VP8",
        MediaKind::Audio => "Opus",
    }
}

/// Stands in for an SSRC that is not announced; no sender here draws from so high.
const UNANNOUNCED: u32 = 0xffff_ff00;

#[cfg(test)]
mod tests;
