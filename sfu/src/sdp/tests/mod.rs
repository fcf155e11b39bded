//! Offers of real clients, rule by rule, and hostile ones.

mod clients;
mod continuity;
mod encoders;
mod hostile;
mod rules;

use super::*;
use crate::Limits;
use crate::codec::{Codec, Kind};
use crate::id::{Mid, Rid, Ssrc};

/// Parses `text` and answers it, as the first offer or after `previous`.
fn negotiate(text: &str, previous: Option<&Negotiated>) -> Result<(String, Negotiated), OfferError> {
    negotiate_within(text, previous, &Limits::default())
}

fn negotiate_within(
    text: &str,
    previous: Option<&Negotiated>,
    limits: &Limits,
) -> Result<(String, Negotiated), OfferError> {
    let candidates = ["192.0.2.1:40000".parse().unwrap(), "[2001:db8::1]:40000".parse().unwrap()];
    let ice = IceCredentials { ufrag: "ours".to_owned(), pwd: "oursoursoursoursoursours".to_owned() };
    let offer = Offer::parse(text, limits)?;
    answer(
        &offer,
        previous,
        Local {
            ice: &ice,
            fingerprint: &Fingerprint([0xab; 32]),
            candidates: &candidates,
            session_id: 7,
            session_version: 3,
            slot: &mut slot,
        },
    )
}

/// Our certificate, as an answer names it.
fn fingerprint_line() -> String {
    format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":"))
}

fn slot(mid: Mid, kind: Kind) -> SlotIdentity {
    let number = mid.as_str().bytes().fold(1, |number: u32, byte| number.wrapping_mul(257) ^ u32::from(byte));
    let number = number << 1;
    SlotIdentity {
        ssrc: Ssrc(number),
        rtx_ssrc: (kind == Kind::Video).then_some(Ssrc(number | 1)),
        stream: format!("stream-{mid}"),
    }
}

fn mid(text: &str) -> Mid {
    Mid::new(text.as_bytes()).unwrap()
}

fn rids(texts: &[&str]) -> Vec<Rid> {
    texts.iter().map(|text| Rid::new(text.as_bytes()).unwrap()).collect()
}

fn flow<'a>(negotiated: &'a Negotiated, text: &str) -> &'a Flow {
    &negotiated.media.iter().find(|line| line.mid == mid(text)).unwrap().flow
}

/// The `m=` section of an answer at `index`, without line breaks.
fn section(answer: &str, index: usize) -> Vec<&str> {
    let lines: Vec<&str> = answer.split_terminator("\r\n").collect();
    let mut sections = lines.chunk_by(|_, next| !next.starts_with("m="));
    sections.nth(index + 1).unwrap().to_vec()
}

const PUBLISH: &str = include_str!("../fixtures/chromium_publish.sdp");
const MORE_SLOTS: &str = include_str!("../fixtures/chromium_more_slots.sdp");
const STOPPED: &str = include_str!("../fixtures/chromium_stopped.sdp");
const RECYCLED: &str = include_str!("../fixtures/chromium_recycled.sdp");
const RESTARTED: &str = include_str!("../fixtures/chromium_restarted.sdp");
const NARROWED: &str = include_str!("../fixtures/chromium_narrowed.sdp");
const SENDRECV: &str = include_str!("../fixtures/chromium_sendrecv.sdp");
const FIREFOX: &str = include_str!("../fixtures/firefox_publish.sdp");
