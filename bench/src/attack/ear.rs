//! An honest one whose WebSocket is gone: it asks on its data channel, and is to be answered there whatever others do to theirs.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::chunks::Association;
use super::data::associate;
use super::generator::Volley;
use super::insider::Insider;
use super::offers::OfferText;
use super::site::Site;

/// Asks, waits for the answer, and asks again.
#[derive(Debug)]
pub(super) struct Ear {
    insider: Insider,
    association: Association,
    /// What was asked last, and when first and last.
    asked: Option<(Vec<u8>, Instant, Instant)>,
    /// When it asks again.
    next: Instant,
    answers: u64,
    slowest: Duration,
}

impl Ear {
    /// In the honest call's room, with its channel open.
    ///
    /// # Errors
    /// The server does not let it in.
    pub(super) fn new(site: &Site) -> Result<Self> {
        let mut entered = site.join(OfferText::data_beside_video)?;
        let mut association = associate(&mut entered)?;
        let mut insider = entered.hang_up();
        insider.send_sctp(&association.open_room())?;
        Ok(Self {
            insider,
            association,
            asked: None,
            next: Instant::now(),
            answers: 0,
            slowest: Duration::ZERO,
        })
    }

    /// Takes what has come, and asks when it has been answered.
    ///
    /// # Errors
    /// Its connection is gone.
    pub(super) fn turn(&mut self) -> Result<()> {
        self.insider.keep_consent()?;
        let now = Instant::now();
        for packet in self.insider.receive().data {
            let (messages, acknowledgment) = self.association.acknowledge(&packet);
            if let Some(acknowledgment) = acknowledgment {
                self.insider.send_sctp(&acknowledgment)?;
            }
            if messages.iter().any(|message| message.as_slice() == PONG)
                && let Some((_, since, _)) = self.asked.take()
            {
                self.answers += 1;
                self.slowest = self.slowest.max(now - since);
            }
        }
        match &mut self.asked {
            None if now >= self.next => {
                self.next = now + INTERVAL;
                let question = self.association.message(0, PING);
                self.insider.send_sctp(&question)?;
                self.asked = Some((question, now, now));
            }
            // What a full buffer has lost is said again.
            Some((question, _, last)) if now - *last > AGAIN => {
                self.insider.send_sctp(question)?;
                *last = now;
            }
            _ => {}
        }
        Ok(())
    }

    /// What came of it.
    pub(super) fn tell(self, volley: &mut Volley) {
        let waits = self.asked.map_or(Duration::ZERO, |(_, since, _)| since.elapsed());
        let slowest = self.slowest.max(waits);
        volley.notes.push(format!(
            "meanwhile another one was answered {} times on its data channel, the slowest in {} ms",
            self.answers,
            slowest.as_millis()
        ));
        volley.promise(self.answers > 0 && slowest < PATIENCE, || {
            format!(
                "another one was answered {} times on its data channel, and waited for {slowest:?}",
                self.answers
            )
        });
    }
}

const PING: &[u8] = br#"{"type":"ping"}"#;
const PONG: &[u8] = br#"{"type":"pong"}"#;
/// Slow enough for the server's limit on what a client says.
const INTERVAL: Duration = Duration::from_millis(100);
const AGAIN: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(1);
