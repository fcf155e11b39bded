//! The RTP streams a client announces on an m-line: simulcast by rid (RFC 8853), or SSRCs (RFC 5576).

use super::OfferError;
use super::lines::{Section, malformed, parse_number};
use crate::id::{Rid, Ssrc};

/// At most so many rids, SSRCs and SSRC groups of one m-line are looked at; the rest is ignored.
pub(super) const STREAMS_CONSIDERED: usize = 32;

/// The streams of a simulcast that the client would send.
#[derive(Clone, Default, Debug)]
pub(super) struct Simulcast {
    /// In the order offered, each once; empty when there is one stream without a rid.
    pub(super) rids: Vec<Rid>,
    /// Whether `a=simulcast` was offered: without it, a lone rid just names the one stream.
    pub(super) offered: bool,
}

impl Simulcast {
    /// Reads the rids that the client offers to send, at most `limit` of them. Of alternatives (`a,b`) the first one counts,
    /// restrictions are ignored, and so is a rid that no `a=rid` line declares (RFC 8853 section 5.1).
    pub(super) fn read(section: &Section<'_>, limit: usize) -> Result<Self, OfferError> {
        let mut declared: Vec<Rid> = Vec::new();
        let mut listed = None;
        for attribute in section.attributes.iter() {
            match attribute.name {
                "rid" if declared.len() < STREAMS_CONSIDERED => {
                    let mut words = attribute.value.split_ascii_whitespace();
                    let (Some(rid), Some(direction)) = (words.next(), words.next()) else {
                        return Err(malformed("an a=rid line has no direction"));
                    };
                    let rid = parse_rid(rid)
                        .ok_or(malformed("an a=rid line has no valid id of at most 16 characters"))?;
                    match direction {
                        "send" if declared.contains(&rid) => {
                            return Err(malformed("a rid is declared twice"));
                        }
                        "send" => declared.push(rid),
                        "recv" => {}
                        _ => return Err(malformed("an a=rid line has no direction")),
                    }
                }
                "simulcast" if listed.is_some() => {
                    return Err(malformed("an m-line has two a=simulcast lines"));
                }
                "simulcast" => listed = Some(sent(attribute.value)?),
                _ => {}
            }
        }
        let Some(listed) = listed.flatten() else {
            let rids = if declared.len() == 1 { declared } else { Vec::new() };
            return Ok(Self { rids, offered: false });
        };
        let mut rids: Vec<Rid> = Vec::new();
        for stream in listed.split(';').take(STREAMS_CONSIDERED) {
            let first = stream.split(',').next().unwrap_or_default();
            let rid = parse_rid(first.strip_prefix('~').unwrap_or(first))
                .ok_or(malformed("an a=simulcast line lists no valid rids"))?;
            if declared.contains(&rid) && !rids.contains(&rid) && rids.len() < limit {
                rids.push(rid);
            }
        }
        let offered = !rids.is_empty();
        Ok(Self { rids, offered })
    }
}

/// The list after `send` in the value of `a=simulcast`, if there is one.
fn sent(value: &str) -> Result<Option<&str>, OfferError> {
    let mut words = value.split_ascii_whitespace();
    let mut sent = None;
    while let Some(direction) = words.next() {
        let list = words.next().ok_or(malformed("an a=simulcast line has a direction without rids"))?;
        match direction {
            "send" if sent.is_none() => sent = Some(list),
            "recv" => {}
            _ => return Err(malformed("an a=simulcast line has no valid direction")),
        }
    }
    Ok(sent)
}

/// `rid-id` of RFC 8851 section 10.
fn parse_rid(text: &str) -> Option<Rid> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.bytes().all(valid) { Rid::new(text.as_bytes()).ok() } else { None }
}

/// Reads the SSRCs announced on an m-line, each with the SSRC of its retransmissions (RFC 4588 section 8.8).
/// Groups other than FID say nothing of use; what they add by way of repair streams is left out.
pub(super) fn ssrcs(section: &Section<'_>) -> Result<Vec<(Ssrc, Option<Ssrc>)>, OfferError> {
    let mut announced: Vec<Ssrc> = Vec::new();
    let mut repairs: Vec<(Ssrc, Ssrc)> = Vec::new();
    let mut retransmissions: Vec<(Ssrc, Ssrc)> = Vec::new();
    for attribute in section.attributes.iter() {
        let mut words = attribute.value.split_ascii_whitespace();
        let first = words.next();
        match attribute.name {
            "ssrc" => {
                let ssrc = first.and_then(parse_ssrc).ok_or(malformed("an a=ssrc line has no valid SSRC"))?;
                if announced.len() < STREAMS_CONSIDERED && !announced.contains(&ssrc) {
                    announced.push(ssrc);
                }
            }
            "ssrc-group" if repairs.len() < STREAMS_CONSIDERED && matches!(first, Some("FID" | "FEC-FR")) => {
                let (Some(media), Some(repair), None) =
                    (words.next().and_then(parse_ssrc), words.next().and_then(parse_ssrc), words.next())
                else {
                    return Err(malformed("an a=ssrc-group line does not pair two SSRCs"));
                };
                repairs.push((media, repair));
                if first == Some("FID") {
                    retransmissions.push((media, repair));
                }
            }
            _ => {}
        }
    }
    let is_repair = |ssrc: &Ssrc| repairs.iter().any(|(_, repair)| repair == ssrc);
    let with_retransmission = |ssrc: Ssrc| {
        let pair = retransmissions.iter().find(|(media, repair)| *media == ssrc && *repair != ssrc);
        (ssrc, pair.map(|(_, repair)| *repair))
    };
    Ok(announced.into_iter().filter(|ssrc| !is_repair(ssrc)).map(with_retransmission).collect())
}

fn parse_ssrc(text: &str) -> Option<Ssrc> {
    parse_number(text).map(Ssrc)
}
