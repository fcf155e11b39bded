//! How long a participant's player is to hold pictures back, by what repairs take on its own line and on the publisher's.

use std::time::{Duration, Instant};

use crate::codec::Kind;
use crate::egress::{Leg, time_to_repair};
use crate::ingress::LineQuality;
use crate::shard::Shard;
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    /// Looks again at what the participant's pictures are held back by, after the client told of its line.
    pub(super) fn hold_back(&mut self, now: Instant, index: usize) {
        let participant = &self.participants[index];
        let told = participant.downlink.estimator_report().filter(|report| report.acknowledged.is_some());
        let loss = told.map_or(participant.line.loss(), |report| {
            report.chance_loss.max(report.sudden_loss.min(SUDDEN_AT_MOST))
        });
        let round_trip = participant.line.round_trip();
        for at in 0..self.participants[index].slots.len() {
            let slot = &self.participants[index].slots[at];
            let Some(source) = slot.source.filter(|_| slot.kind == Kind::Video) else { continue };
            let down = Leg {
                loss,
                round_trip,
                jitter: (slot.jitter() * 3).clamp(LITTLE_JITTER, MUCH_JITTER),
                again: round_trip.max(ASKS_AGAIN) + TURN,
            };
            let publisher = self.participants.get(source.participant);
            let up = publisher.map(|publisher| leg_up(&publisher.line)).unwrap_or_default();
            self.participants[index].slots[at].hold_back(now, time_to_repair(&up, &down));
        }
    }
}

/// Our own requests: `ingress/nack.rs`.
fn leg_up(line: &LineQuality) -> Leg {
    let round_trip = line.round_trip();
    Leg { loss: line.loss_up(), round_trip, jitter: UP_JITTER, again: round_trip * 9 / 8 }
}

/// Few datagrams tell no more than that.
const SUDDEN_AT_MOST: f64 = 0.05;
/// What a browser that only receives takes its round trip for, and asks again after.
const ASKS_AGAIN: Duration = Duration::from_millis(100);
/// It looks every 20 ms what to ask for, and its feedback comes every 50 to 100 ms.
const TURN: Duration = Duration::from_millis(40);
const LITTLE_JITTER: Duration = Duration::from_millis(10);
const MUCH_JITTER: Duration = Duration::from_millis(60);
const UP_JITTER: Duration = Duration::from_millis(20);
