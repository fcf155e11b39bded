//! The payload types of an m-line: which of them are codecs of ours, with their retransmissions and feedback.

use super::OfferError;
use super::PayloadFormat;
use super::extensions::Direction;
use super::lines::{Attribute, Section, malformed, parse_number};
use crate::codec::{Codec, Kind};

/// A codec that both sides have.
#[derive(Clone, Debug)]
pub(super) struct Format {
    /// As agreed on an m-line where the client sends.
    pub(super) format: PayloadFormat,
    /// Whether full intra requests were offered (RFC 5104).
    pub(super) fir: bool,
}

/// Finds the codecs of ours on an m-line, in the client's order. What is not ours (other codecs, ulpfec, flexfec,
/// comfort noise, telephone events) is left out, and so is a second payload type that says the same as one before it. Redundant audio is
/// agreed on where the client lists it before its codec: those listed after it are what a browser offers unasked.
pub(super) fn formats(
    section: &Section<'_>,
    kind: Kind,
    direction: Direction,
) -> Result<Vec<Format>, OfferError> {
    let offered = Offered::read(section)?;
    let retransmissions = match kind {
        Kind::Audio => [None; PAYLOAD_TYPES],
        Kind::Video => offered.retransmissions(VIDEO_CLOCK_RATE),
    };
    let silent_h264 = direction.sends() && !offered.listed.iter().any(Entry::fragments_h264);
    let mut formats: Vec<Format> = Vec::new();
    for (place, entry) in offered.listed.iter().enumerate() {
        let Some((codec, parameters)) = entry.codec(kind, silent_h264) else { continue };
        let repeated = |other: &Format| other.format.codec == codec && other.format.parameters == parameters;
        if formats.iter().any(repeated) {
            continue;
        }
        let rtx_payload_type = retransmissions.get(usize::from(entry.payload_type)).copied().flatten();
        let preferred = offered.listed.iter().take(place);
        let red = preferred.filter(|_| kind == Kind::Audio).find(|other| other.repeats(entry.payload_type));
        let feedback = entry.feedback.with(offered.feedback_for_all);
        formats.push(Format {
            format: PayloadFormat {
                codec,
                payload_type: entry.payload_type,
                rtx_payload_type,
                red_payload_type: red.map(|red| red.payload_type),
                parameters,
                nack: feedback.nack,
                pli: feedback.pli,
                transport_cc: feedback.transport_cc,
                remb: feedback.remb,
            },
            fir: feedback.fir,
        });
    }
    Ok(formats)
}

/// The payload types of an m-line and what its attributes say about them.
struct Offered<'a> {
    /// In the order of the m-line; at most 128, each payload type once.
    listed: Vec<Entry<'a>>,
    feedback_for_all: Feedback,
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    payload_type: u8,
    encoding: &'a str,
    parameters: &'a str,
    feedback: Feedback,
}

#[derive(Clone, Copy, Default)]
struct Feedback {
    nack: bool,
    pli: bool,
    fir: bool,
    transport_cc: bool,
    remb: bool,
}

impl Feedback {
    fn add(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("nack"), None) => self.nack = true,
            (Some("nack"), Some("pli")) => self.pli = true,
            (Some("ccm"), Some("fir")) => self.fir = true,
            (Some("transport-cc"), None) => self.transport_cc = true,
            (Some("goog-remb"), None) => self.remb = true,
            _ => {}
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            nack: self.nack || other.nack,
            pli: self.pli || other.pli,
            fir: self.fir || other.fir,
            transport_cc: self.transport_cc || other.transport_cc,
            remb: self.remb || other.remb,
        }
    }
}

impl<'a> Offered<'a> {
    fn read(section: &Section<'a>) -> Result<Self, OfferError> {
        let mut position = [None; PAYLOAD_TYPES];
        let mut listed = Vec::new();
        for text in section.formats.split(' ') {
            let (payload_type, place) = text
                .parse()
                .ok()
                .and_then(|payload_type: u8| {
                    Some((payload_type, position.get_mut(usize::from(payload_type))?))
                })
                .ok_or(malformed("an RTP m-line lists something other than payload types"))?;
            if place.replace(listed.len()).is_some() {
                return Err(malformed("an m-line lists a payload type twice"));
            }
            listed.push(Entry { payload_type, encoding: "", parameters: "", feedback: Feedback::default() });
        }
        let mut feedback_for_all = Feedback::default();
        for Attribute { name, value } in section.attributes.iter() {
            if !matches!(name, "rtpmap" | "fmtp" | "rtcp-fb") {
                continue;
            }
            let (target, rest) = value.split_once(' ').unwrap_or((value, ""));
            if name == "rtcp-fb" && target == "*" {
                feedback_for_all.add(rest);
                continue;
            }
            let place = parse_number::<usize>(target)
                .and_then(|payload_type| position.get(payload_type))
                .ok_or(malformed("an rtpmap, fmtp or rtcp-fb line has no valid payload type"))?;
            // Lines about a payload type that the m-line does not list mean nothing.
            let Some(entry) = place.and_then(|place| listed.get_mut(place)) else { continue };
            match name {
                "rtpmap" if entry.encoding.is_empty() => entry.encoding = rest.trim(),
                "fmtp" if entry.parameters.is_empty() => entry.parameters = rest,
                "rtcp-fb" => entry.feedback.add(rest),
                _ => {}
            }
        }
        Ok(Self { listed, feedback_for_all })
    }

    /// Which payload type retransmits which, by the latter (RFC 4588 section 8).
    fn retransmissions(&self, clock_rate: u32) -> [Option<u8>; PAYLOAD_TYPES] {
        let mut retransmissions = [None; PAYLOAD_TYPES];
        for entry in &self.listed {
            let Some((name, clock)) = entry.encoding.split_once('/') else { continue };
            if !name.eq_ignore_ascii_case("rtx")
                || parse_number(clock) != Some(clock_rate)
                || !muxes(entry.payload_type)
            {
                continue;
            }
            let apt = parameter(entry.parameters, "apt").and_then(parse_number::<usize>);
            if let Some(place) = apt.and_then(|apt| retransmissions.get_mut(apt)) {
                place.get_or_insert(entry.payload_type);
            }
        }
        retransmissions
    }
}

impl Entry<'_> {
    /// Whether it is audio of this payload type with redundancy: all its blocks are of that one (RFC 2198 section 5).
    fn repeats(&self, payload_type: u8) -> bool {
        let mut blocks = self.parameters.split('/').map(|block| parse_number::<u8>(block.trim()));
        self.encoding.eq_ignore_ascii_case("red/48000/2")
            && muxes(self.payload_type)
            && self.payload_type != payload_type
            && (2..=MAX_RED_BLOCKS).contains(&blocks.clone().count())
            && blocks.all(|block| block == Some(payload_type))
    }

    /// Whether it is H.264 that names the packetization mode which every browser has.
    fn fragments_h264(&self) -> bool {
        let is_h264 = self.encoding.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("H264/"));
        is_h264 && parameter(self.parameters, "packetization-mode") == Some("1")
    }

    /// The codec and the parameters to answer with, or `None` when it is not one of ours. With `silent_h264`, H.264 need not name its
    /// packetization mode: encoders without a word of it send what every decoder takes.
    fn codec(&self, kind: Kind, silent_h264: bool) -> Option<(Codec, String)> {
        let mut fields = self.encoding.split('/');
        let codec = Codec::from_name(fields.next()?)?;
        let clock_rate: u32 = parse_number(fields.next()?)?;
        let channels = match codec {
            Codec::Opus => Some("2"),
            _ => None,
        };
        if codec.kind() != kind
            || codec.clock_rate() != clock_rate
            || fields.next() != channels
            || !muxes(self.payload_type)
        {
            return None;
        }
        Some((codec, self.answered_parameters(codec, silent_h264)?))
    }

    fn answered_parameters(&self, codec: Codec, silent_h264: bool) -> Option<String> {
        let number = |name: &str| parameter(self.parameters, name).filter(|value| is_short_number(value));
        let echo = |names: &[&str]| {
            let said = names.iter().filter_map(|name| Some(format!("{name}={}", number(name)?)));
            said.collect::<Vec<_>>().join(";")
        };
        match codec {
            Codec::Opus => {
                let minptime = number("minptime").unwrap_or("10");
                let useinbandfec = number("useinbandfec").unwrap_or("1");
                let rest = echo(&["usedtx", "stereo", "sprop-stereo"]);
                let separator = if rest.is_empty() { "" } else { ";" };
                Some(format!("minptime={minptime};useinbandfec={useinbandfec}{separator}{rest}"))
            }
            Codec::Vp8 => Some(String::new()),
            // Every browser decodes profile 0, hardly any the others.
            Codec::Vp9 => match parameter(self.parameters, "profile-id") {
                None | Some("0") => Some(echo(&["profile-id"])),
                Some(_) => None,
            },
            Codec::Av1 => match parameter(self.parameters, "profile") {
                None | Some("0") => Some(echo(&["level-idx", "profile", "tier"])),
                Some(_) => None,
            },
            Codec::H264 => {
                match parameter(self.parameters, "packetization-mode") {
                    Some("1") => {}
                    None if silent_h264 => {}
                    _ => return None,
                }
                let modes = echo(&["level-asymmetry-allowed", "packetization-mode"]);
                match parameter(self.parameters, "profile-level-id") {
                    None => Some(modes),
                    Some(id) if id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                        let separator = if modes.is_empty() { "" } else { ";" };
                        Some(format!("{modes}{separator}profile-level-id={id}"))
                    }
                    Some(_) => None,
                }
            }
        }
    }
}

/// The value of a format parameter; names are compared in any case.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn is_short_number(value: &str) -> bool {
    (1..=5).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a payload type can share a port with RTCP (RFC 5761 section 4).
fn muxes(payload_type: u8) -> bool {
    !(64..=95).contains(&payload_type)
}

const PAYLOAD_TYPES: usize = 128;
/// More are nobody's.
const MAX_RED_BLOCKS: usize = 10;

/// Of every video codec, and of its retransmissions.
const VIDEO_CLOCK_RATE: u32 = 90_000;
