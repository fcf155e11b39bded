#![no_main]
//! Any text as an offer and as a fragment, or a real client's offer with some lines changed; what is accepted is answered, and offered
//! again it goes on.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::Limits;
use simmer_sfu::codec::Kind;
use simmer_sfu::id::{Mid, Ssrc};
use simmer_sfu::sdp::{self, Fingerprint, Fragment, IceCredentials, Local, Negotiated, Offer, SlotIdentity};

fn answer(offer: &Offer, previous: Option<&Negotiated>) -> Option<(String, Negotiated)> {
    let ice = IceCredentials { ufrag: "ours".to_owned(), pwd: "oursoursoursoursoursours".to_owned() };
    let mut ssrc = 0;
    let mut slot = |mid: Mid, kind: Kind| {
        ssrc += 2;
        let rtx_ssrc = (kind == Kind::Video).then_some(Ssrc(ssrc + 1));
        SlotIdentity { ssrc: Ssrc(ssrc), rtx_ssrc, stream: format!("slot-{mid}") }
    };
    let local = Local {
        ice: &ice,
        fingerprint: &Fingerprint([0xab; 32]),
        candidates: &[([192, 0, 2, 1], 40_000).into()],
        session_id: 7,
        session_version: 3,
        slot: &mut slot,
    };
    sdp::answer(offer, previous, local).ok()
}

const OFFERS: [&str; 6] = [
    include_str!("../../src/sdp/fixtures/chromium_narrowed.sdp"),
    include_str!("../../src/sdp/fixtures/chromium_sendrecv.sdp"),
    include_str!("../../src/sdp/fixtures/firefox_publish.sdp"),
    include_str!("../../src/sdp/fixtures/chromium_publish.sdp"),
    include_str!("../../src/sdp/fixtures/aiortc_publish.sdp"),
    include_str!("../../src/sdp/fixtures/gstreamer_whip.sdp"),
];

/// Text that begins like a description as it is; else a number of an offer, and then changes to its lines: where, how, with what.
fn text(data: &[u8]) -> Option<String> {
    let (&first, mut rest) = data.split_first()?;
    if first == b'v' {
        return String::from_utf8(data.to_vec()).ok();
    }
    let mut lines: Vec<String> =
        OFFERS[usize::from(first) % OFFERS.len()].lines().map(str::to_owned).collect();
    while let Some((&[high, low, how, length], after)) = rest.split_first_chunk::<4>() {
        let (text, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let text = String::from_utf8_lossy(text).into_owned();
        let at = usize::from(u16::from_be_bytes([high, low])) % lines.len();
        match how % 6 {
            0 => lines[at] = text,
            1 => lines.insert(at, text),
            2 => lines[at].push_str(&text),
            3 if lines.len() > 1 => drop(lines.remove(at)),
            4 => lines.insert(at, lines[usize::from(how) * 5 % lines.len()].clone()),
            _ => {
                let keep = lines[at].char_indices().nth(usize::from(how) / 6).map_or(0, |(place, _)| place);
                lines[at].truncate(keep);
                lines[at].push_str(&text);
            }
        }
    }
    Some(lines.join("\r\n") + "\r\n")
}

fuzz_target!(|data: &[u8]| {
    let Some(text) = text(data) else { return };
    let limits = Limits::default();
    if let Ok(fragment) = Fragment::parse(&text, &limits) {
        assert!(fragment.ice().is_none_or(|ice| ice.ufrag.len() >= 4 && ice.pwd.len() >= 22));
    }
    let Ok(offer) = Offer::parse(&text, &limits) else { return };
    let (written, negotiated) = answer(&offer, None).expect("a first offer is answered");
    assert!(negotiated.media.len() <= limits.media_lines);
    assert_eq!(written.matches("\r\nm=").count(), text.lines().filter(|line| line.starts_with("m=")).count());
    assert!(written.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "a line of the offer's making");
    answer(&offer, Some(&negotiated)).expect("the same offer again is no discontinuity");
    assert!(!offer.ice_restarted(&negotiated));
});
