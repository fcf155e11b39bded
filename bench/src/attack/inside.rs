//! Attacks of those who passed a check or the whole handshake: they may harm themselves.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::feedback::{Feedback, Subject};
use super::generator::{Generator, Outsider, Pace, Volley};
use super::hellos::Hellos;
use super::noise::Noise;
use super::offers::OfferText;
use super::outside::{ForgedMedia, PUBLISHER_SSRC};
use super::site::{Entered, Site};

/// Many that begin a handshake and say no more, while one sends ClientHellos of all shapes.
pub(super) fn half_open(site: &Site) -> Result<Volley> {
    let mut volley = Volley::default();
    let mut hellos = Hellos::new(site.seed);
    let mut all = Vec::new();
    for _ in 0..HALF_OPEN {
        let mut entered = site.enter(OfferText::receives)?;
        entered.insider.bind()?;
        volley.count_sent(entered.insider.send(&hellos.whole()));
        all.push(entered);
    }
    volley.notes.push(format!("{HALF_OPEN} handshakes begun"));
    let mut pace = Pace::new(site.rate, site.length);
    volley.due = HALF_OPEN as u64 + pace.total();
    let mut turns = (0..all.len()).cycle();
    let mut datagram = Vec::new();
    while let Some(count) = pace.wait() {
        if let Some(entered) = turns.next().and_then(|turn| all.get_mut(turn)) {
            for _ in 0..count {
                datagram.clear();
                hellos.next(&mut datagram);
                volley.count_sent(entered.insider.send(&datagram));
            }
        }
    }
    all.iter_mut().for_each(|entered| entered.insider.count_arrivals(&mut volley));
    site.leave(all);
    Ok(volley)
}

/// Datagrams that begin with every byte there is, from a participant's own address.
pub(super) fn noise(site: &Site) -> Result<Volley> {
    from_within(site, &mut Noise::new(site.seed))
}

/// RTP with a tag that does not fit, from a participant's own address.
pub(super) fn bad_tags(site: &Site) -> Result<Volley> {
    from_within(site, &mut ForgedMedia::new(site.seed, OWN_SSRC))
}

fn from_within(site: &Site, generator: &mut dyn Generator) -> Result<Volley> {
    let mut entered = site.join(|offer| offer.sends(OWN_SSRC, OWN_SSRC + 1).data())?;
    let mut volley = Volley::default();
    let mut pace = Pace::new(site.rate, site.length);
    volley.due = pace.total();
    let mut datagram = Vec::new();
    while let Some(count) = pace.wait() {
        entered.insider.keep_consent()?;
        for _ in 0..count {
            datagram.clear();
            generator.next(&mut datagram);
            volley.count_sent(entered.insider.send(&datagram));
        }
        entered.insider.count_arrivals(&mut volley);
    }
    let (sent, back) = (volley.sent_bytes, volley.reply_bytes);
    volley.promise(back <= sent, || format!("{back} bytes came back for {sent}"));
    site.leave([entered]);
    Ok(volley)
}

/// Its own packets again, from its own address and from others; and packets of its own with the publisher's SSRC and mid.
pub(super) fn foreign_streams(site: &Site) -> Result<Volley> {
    let mut entered = site.join(|offer| offer.sends(OWN_SSRC, OWN_SSRC + 1))?;
    let mut volley = Volley::default();
    let mut own = ForgedMedia::new(site.seed, OWN_SSRC);
    let mut foreign = ForgedMedia::new(site.seed + 1, PUBLISHER_SSRC);
    let mut sealed = Vec::new();
    for number in 0..200_u32 {
        let mut packet = Vec::new();
        if number.is_multiple_of(2) {
            own.next(&mut packet)
        } else {
            foreign.next(&mut packet)
        }
        packet.truncate(1000);
        let packet = if number.is_multiple_of(4) { with_mid(&packet, b"0") } else { with_mid(&packet, b"1") };
        sealed.push(entered.insider.seal_rtp(&packet)?.to_vec());
    }
    let mut again = Again { packets: sealed, at: 0 };
    let mut pace = Pace::new(site.rate, site.length / 2);
    volley.due = pace.total();
    let mut datagram = Vec::new();
    while let Some(count) = pace.wait() {
        for _ in 0..count {
            datagram.clear();
            again.next(&mut datagram);
            volley.count_sent(entered.insider.send(&datagram));
        }
        entered.insider.count_arrivals(&mut volley);
    }
    let outsider = Outsider::new(site.local, site.media()?, 4)?;
    let fired = outsider.fire(&mut again, site.rate, site.length / 2);
    volley.promise(fired.replies == 0, || format!("{} replies to strangers", fired.replies));
    volley.add(fired);
    site.leave([entered]);
    Ok(volley)
}

/// Key frames and losses in storms, and lies about bandwidth.
pub(super) fn feedback(site: &Site) -> Result<Volley> {
    let mut volley = Volley::default();
    for subject in [Subject::KeyFrames, Subject::Lies] {
        let mut entered = site.join(OfferText::receives)?;
        volley.add(tell(site, &mut entered, subject, site.length / 3)?);
        site.leave([entered]);
    }
    volley.add(losses(site)?);
    Ok(volley)
}

/// Losses for twice as long as the attack: what is there for losses at the beginning is used up by half of it, and what comes then is judged.
fn losses(site: &Site) -> Result<Volley> {
    // Probing sends packets again, too: where losses are counted, nothing is said of bandwidth.
    let mut entered = site.join(OfferText::receives_at_any_rate)?;
    let (media, repair) = streams(&entered)?;
    let bytes = |entered: &Entered| {
        let again = repair.map_or(0, |repair| entered.insider.stream(repair).0);
        (entered.insider.stream(media).0, again)
    };
    let mut volley = tell(site, &mut entered, Subject::Losses { newest: 0 }, site.length)?;
    let first = bytes(&entered);
    volley.add(tell(site, &mut entered, Subject::Losses { newest: 0 }, site.length)?);
    let all = bytes(&entered);
    let (sent, again) = (all.0 - first.0, all.1 - first.1);
    volley.notes.push(format!(
        "NACK storm: {} bytes of the stream and {} sent again, then {sent} and {again}",
        first.0, first.1
    ));
    volley.promise(sent > 0, || "no stream to ask for".to_owned());
    volley.promise(again <= sent / 4 + TO_SPARE, || format!("{again} bytes sent again of {sent}"));
    site.leave([entered]);
    Ok(volley)
}

/// One subject for so long.
fn tell(site: &Site, entered: &mut Entered, subject: Subject, length: Duration) -> Result<Volley> {
    let (media, _) = streams(entered)?;
    let insider = &mut entered.insider;
    let mut volley = Volley::default();
    let mut feedback = Feedback::new(site.seed, media, subject);
    let mut pace = Pace::new((site.rate / 10).max(1), length);
    volley.due = pace.total();
    let mut packet = Vec::new();
    while let Some(count) = pace.wait() {
        insider.keep_consent()?;
        insider.count_arrivals(&mut volley);
        if let Subject::Losses { newest } = &mut feedback.subject {
            *newest = insider.stream(media).1;
        }
        for _ in 0..count {
            packet.clear();
            feedback.next(&mut packet);
            let sealed = insider.seal_rtcp(&packet)?;
            volley.count_sent(insider.send(&sealed));
        }
    }
    Ok(volley)
}

/// The SSRCs of the first slot: media, retransmission.
fn streams(entered: &Entered) -> Result<(u32, Option<u32>)> {
    let slot = entered.insider.sections().first().context("the answer has no slot")?;
    Ok((slot.ssrc.context("the answer has no SSRC")?, slot.rtx_ssrc))
}

/// The packet with a header extension that says whose it is (RFC 8285 section 4.2); the id is that of our offers.
fn with_mid(packet: &[u8], mid: &[u8; 1]) -> Vec<u8> {
    let (header, payload) = packet.split_at_checked(12).unwrap_or((packet, &[]));
    let mut extended = header.to_vec();
    if let Some(first) = extended.first_mut() {
        *first |= 0x10;
    }
    extended.extend([0xbe, 0xde, 0, 1, 0x10, mid[0], 0, 0]);
    extended.extend(payload);
    extended
}

/// The same datagrams over and over.
struct Again {
    packets: Vec<Vec<u8>>,
    at: usize,
}

impl Generator for Again {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.at = (self.at + 1) % self.packets.len().max(1);
        out.extend(self.packets.get(self.at).into_iter().flatten());
    }
}

const HALF_OPEN: usize = 50;
const OWN_SSRC: u32 = 0x0a77_0000;
/// What the server saves up for losses while there are none.
const TO_SPARE: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::shared::marshal::Unmarshal as _;

    #[test]
    fn a_mid_is_added_as_others_read_it() {
        let mut plain = Vec::new();
        ForgedMedia::new(1, OWN_SSRC).next(&mut plain);
        let packet = rtp::Packet::unmarshal(&mut &with_mid(&plain, b"7")[..]).expect("a packet");
        assert_eq!(packet.header.get_extension(1).as_deref(), Some(&b"7"[..]));
        assert_eq!(packet.payload[..], plain[12..]);
    }
}
