//! How much a line takes at once: whether what left at one instant arrives as closely together (packet-train dispersion: C. Dovrolis, P. Ramanathan,
//! D. Moore, "What do packet dispersion techniques measure?", INFOCOM 2001).

/// Takes datagrams in the order they arrived. A line whose narrowest part is slow, or that jitters, pulls a train apart; one that polices its rate drops the
/// end of it. What has passed unharmed is known to pass, and twice as much is tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    /// The longest that has passed, in bytes.
    passed: u32,
    /// When a train was torn, and how long it was.
    torn: Option<(i64, u32)>,
    /// The first and the last sending of what is missing, as told last.
    missing: Option<(i64, i64)>,
}

/// Datagrams that left at one instant, as far as they have arrived.
#[derive(Clone, Copy, Debug)]
struct Train {
    sent_us: i64,
    first_arrival_us: i64,
    last_arrival_us: i64,
    packets: u32,
    bytes: u32,
    first_bytes: u32,
}

impl Trains {
    /// A feedback begins. A train that it tells the rest of counts as two.
    pub(super) fn on_feedback(&mut self) {
        if let Some(train) = self.current.take() {
            self.judge(&train);
        }
        self.missing = None;
    }

    /// Something that left then is missing. All that is missing is told before what arrived.
    pub(super) fn on_missing(&mut self, sent_us: i64) {
        let (first, last) = self.missing.unwrap_or((sent_us, sent_us));
        self.missing = Some((first.min(sent_us), last.max(sent_us)));
    }

    /// The next datagram that arrived.
    pub(super) fn on_packet(&mut self, sent_us: i64, arrival_us: i64, bytes: u32) {
        if let Some(train) = self.current.as_mut().filter(|train| train.sent_us == sent_us) {
            train.packets = train.packets.saturating_add(1);
            train.bytes = train.bytes.saturating_add(bytes);
            train.last_arrival_us = arrival_us;
            return;
        }
        let next = Train {
            sent_us,
            first_arrival_us: arrival_us,
            last_arrival_us: arrival_us,
            packets: 1,
            bytes,
            first_bytes: bytes,
        };
        if let Some(train) = self.current.replace(next) {
            self.judge(&train);
        }
    }

    /// So many bytes may leave at once.
    pub(super) fn at_once(&self, now_us: i64) -> usize {
        let torn = self.torn.filter(|(at, _)| now_us.saturating_sub(*at) <= REMEMBERED_US);
        let most = torn.map_or(MOST, |(_, bytes)| MOST.min(bytes / 2));
        self.passed.saturating_mul(2).min(most) as usize
    }

    fn judge(&mut self, train: &Train) {
        if self.missing.is_some_and(|(first, last)| (first..=last).contains(&train.sent_us)) {
            self.torn = Some((train.last_arrival_us.max(train.sent_us), train.bytes));
            self.passed = self.passed.min(train.bytes / 2);
        } else if train.packets < FEWEST {
            // Two may come together on any line that jitters.
        } else if train.passed() {
            self.passed = self.passed.max(train.bytes);
        } else {
            self.passed /= 2;
        }
    }
}

impl Train {
    fn passed(&self) -> bool {
        let spread_us = self.last_arrival_us.saturating_sub(self.first_arrival_us);
        let rest = i64::from(self.bytes.saturating_sub(self.first_bytes));
        spread_us <= TICK_US + rest * 8 / FAST_MBPS
    }
}

/// Times of arrival are told as multiples of this (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
const TICK_US: i64 = 250;
const FEWEST: u32 = 3;
/// A line that is slower takes longer than 10 ms for [`MOST`]: worth to be spread.
const FAST_MBPS: i64 = 50;
const MOST: u32 = 64 * 1024;
/// So long after a train was torn the next key frame would be.
const REMEMBERED_US: i64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Trains of so many packets of 1000 bytes, one every 33 ms, on a line that takes so long for each packet; what may leave at once after each.
    fn run(trains: &mut Trains, packets: &[i64], each_us: i64) -> Vec<usize> {
        let mut at_once = Vec::new();
        for (&packets, train) in packets.iter().zip(0..) {
            let sent_us = train * 33_000;
            trains.on_feedback();
            (0..packets)
                .for_each(|packet| trains.on_packet(sent_us, sent_us + 20_000 + packet * each_us, 1000));
            trains.on_packet(sent_us + 1000, sent_us + 22_000, 100);
            at_once.push(trains.at_once(sent_us));
        }
        at_once
    }

    #[test]
    fn a_fast_line_takes_twice_what_it_has_taken() {
        let mut trains = Trains::default();
        // 100 Mbit/s.
        assert_eq!(run(&mut trains, &[5, 10, 3, 60], 80), [10_000, 20_000, 20_000, 64 * 1024]);
    }

    #[test]
    fn a_line_that_pulls_them_apart_takes_nothing() {
        let mut trains = Trains::default();
        // 10 Mbit/s.
        assert_eq!(run(&mut trains, &[1, 2, 5, 3], 800), [0; 4]);
        assert_eq!(run(&mut trains, &[5], 80), [10_000], "it is faster now");
        assert_eq!(run(&mut trains, &[5, 2, 5, 5], 800), [5000, 5000, 2500, 1250]);
    }

    #[test]
    fn what_tore_a_train_is_not_tried_again_for_a_minute() {
        let mut trains = Trains::default();
        run(&mut trains, &[5, 10, 20], 80);
        trains.on_feedback();
        trains.on_missing(1_000_000);
        (0..12).for_each(|_| trains.on_packet(1_000_000, 1_020_000, 1000));
        assert_eq!(run(&mut trains, &[5, 6, 6], 80), [6000; 3], "half of what arrived of it");
        assert_eq!(trains.at_once(61_020_001), 12_000);
    }
}
