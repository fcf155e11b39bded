//! Attacks through the data channels of a participant.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::chunks::{Association, BEGINS, ENDS, StrangeChunks};
use super::ear::Ear;
use super::generator::{Generator as _, Pace, Volley};
use super::insider::Insider;
use super::offers::OfferText;
use super::site::{Entered, Site};

/// Chunks of every kind; every stream opened; a message without an end; messages without a pause; a room's channel that is never read. Whatever the
/// server says is left unacknowledged. Meanwhile another one is answered on its own channel.
pub(super) fn floods(site: &Site) -> Result<Volley> {
    let mut volley = Volley::default();
    let mut ear = Ear::new(site)?;
    for flood in [strange_chunks, every_stream, endless_message, many_messages] {
        let mut entered = site.join(OfferText::data_beside_video)?;
        let association = associate(&mut entered)?;
        volley.add(flood(Flooder { site, insider: &mut entered.insider, association, ear: &mut ear })?);
        site.leave([entered]);
    }
    let mut entered = site.join(OfferText::data_beside_video)?;
    let association = associate(&mut entered)?;
    volley.add(unread_answers(Flooder {
        site,
        insider: &mut entered.hang_up(),
        association,
        ear: &mut ear,
    })?);
    ear.tell(&mut volley);
    Ok(volley)
}

/// Who floods, through an association of its own, and who must be answered meanwhile.
struct Flooder<'a> {
    site: &'a Site,
    insider: &'a mut Insider,
    association: Association,
    ear: &'a mut Ear,
}

fn strange_chunks(flooder: Flooder<'_>) -> Result<Volley> {
    let mut chunks = StrangeChunks::new(flooder.site.seed, &flooder.association);
    flooder.repeat(|_, _| {
        let mut packet = Vec::new();
        chunks.next(&mut packet);
        packet
    })
}

fn every_stream(flooder: Flooder<'_>) -> Result<Volley> {
    let mut stream = 0;
    flooder.repeat(|association, _| {
        let streams = (0..STREAMS_AT_ONCE).map(|step| stream + step).filter(|stream| *stream < u16::MAX);
        let packet = association.open(streams.collect::<Vec<_>>().into_iter());
        stream = stream
            .checked_add(STREAMS_AT_ONCE)
            .filter(|next| *next < u16::MAX - STREAMS_AT_ONCE)
            .unwrap_or(0);
        packet
    })
}

fn endless_message(mut flooder: Flooder<'_>) -> Result<Volley> {
    flooder.insider.send_sctp(&flooder.association.open(std::iter::once(0)))?;
    flooder
        .repeat(|association, number| association.part(0, if number == 0 { BEGINS } else { 0 }, &[7; 1100]))
}

fn many_messages(mut flooder: Flooder<'_>) -> Result<Volley> {
    flooder.insider.send_sctp(&flooder.association.open(std::iter::once(0)))?;
    flooder.repeat(|association, _| association.part(0, BEGINS | ENDS, &[b'{'; 1000]))
}

/// Questions by someone whose WebSocket is gone, so that the answers, be they refusals, are told through the channel, and wait there.
fn unread_answers(mut flooder: Flooder<'_>) -> Result<Volley> {
    flooder.insider.send_sctp(&flooder.association.open_room())?;
    flooder.repeat(|association, _| association.message(0, br#"{"type":"ping"}"#))
}

impl Flooder<'_> {
    /// A fifth of the time, a quarter of the rate; of each packet its number is known.
    fn repeat(mut self, mut packet: impl FnMut(&mut Association, u64) -> Vec<u8>) -> Result<Volley> {
        let mut volley = Volley::default();
        let mut pace = Pace::new((self.site.rate / 4).max(1), self.site.length / 5);
        volley.due = pace.total();
        while let Some(count) = pace.wait() {
            self.insider.keep_consent()?;
            self.ear.turn()?;
            for _ in 0..count {
                let packet = packet(&mut self.association, volley.sent);
                // The server may have ended the association: then this goes nowhere.
                let sent = self.insider.send_sctp(&packet).unwrap_or_default();
                volley.count_sent(sent);
            }
            self.insider.count_arrivals(&mut volley);
        }
        Ok(volley)
    }
}

/// Opens an association, with the one on the other end of a connection.
///
/// # Errors
/// It takes more than three seconds.
pub(super) fn associate(entered: &mut Entered) -> Result<Association> {
    let mut association = Association::new();
    let deadline = Instant::now() + Duration::from_secs(3);
    entered.insider.send_sctp(&association.init())?;
    let mut repeated = Instant::now();
    loop {
        ensure!(Instant::now() < deadline, "no SCTP association");
        for packet in entered.insider.receive().data {
            if Association::is_acknowledged(&packet) {
                return Ok(association);
            }
            if let Some(echo) = association.echo(&packet) {
                entered.insider.send_sctp(&echo)?;
            }
        }
        if repeated.elapsed() > Duration::from_millis(500) {
            repeated = Instant::now();
            entered.insider.send_sctp(&association.init())?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As many openings as one packet takes.
const STREAMS_AT_ONCE: u16 = 35;
