//! How long a viewer's player is asked to hold pictures back, so that what was lost can be repaired before its picture is due.
//!
//! A player holds back what the line's jitter calls for, a few tens of milliseconds, and leaves out what is not whole by then and not built upon. It is told
//! more through the header extension `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`. `docs/decisions/0003-players-wait-for-repairs.md` explains.

use std::time::{Duration, Instant};

/// A line, there or back, that packets are lost on and repaired over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leg {
    /// The part lost by chance, 0 to 1.
    pub loss: f64,
    /// There and back.
    pub round_trip: Duration,
    /// By how much packets are late.
    pub jitter: Duration,
    /// Between one repair and the next of the same packet.
    pub again: Duration,
}

impl Leg {
    /// How many repairs of one packet are waited for: so many that a picture of five packets is whole in time but for one in two hundred.
    fn rounds(&self) -> u32 {
        ROUNDS.iter().filter(|&&from| self.loss >= from).count() as u32
    }

    /// From when a packet should have come to when its last repair has.
    fn time(&self, rounds: u32) -> Duration {
        match rounds.checked_sub(1) {
            None => Duration::ZERO,
            Some(further) => SHOWS + self.round_trip + self.jitter + self.again * further,
        }
    }
}

/// How long pictures must be held back for repairs on the way up and on the way down. That a packet needs several of both is rare.
pub fn time_to_repair(up: &Leg, down: &Leg) -> Duration {
    let once = |leg: &Leg| leg.time(leg.rounds().min(1));
    (once(up) + once(down)).max(up.time(up.rounds())).max(down.time(down.rounds())).min(LONGEST)
}

/// What one slot's player is told, and whether it knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlayoutDelay {
    told: u16,
    /// What is called for: `told` climbs to it.
    aim: u16,
    /// When `told` last rose, or began to.
    climbed: Option<Instant>,
    /// Less would do: since when, and how much.
    less: Option<(Instant, u16)>,
    news: News,
}

#[derive(Clone, Copy, Debug, Default)]
enum News {
    /// The player knows, or nothing was ever said.
    #[default]
    None,
    /// No packet has said it yet.
    Due,
    /// All packets from this number on say it.
    Since(u64),
}

impl PlayoutDelay {
    /// So much is called for before anything was sent.
    pub fn begin(&mut self, now: Instant, wanted: Duration) {
        self.rise(now, units(wanted));
        if self.told < self.aim {
            (self.told, self.news) = (self.aim, News::Due);
        }
    }

    /// So much is called for now. What is said climbs to it from picture to picture: a player takes up at once what it is told, and a leap is a freeze. It falls
    /// when less has done for half a minute, to the most that was called for meanwhile.
    pub fn follow(&mut self, now: Instant, wanted: Duration) {
        let wanted = units(wanted);
        if wanted > self.aim {
            self.rise(now, wanted);
            return;
        }
        if self.aim == 0 || wanted != 0 && wanted + NO_LESS > self.aim {
            self.less = None;
            return;
        }
        let (since, most) = self.less.get_or_insert((now, wanted));
        *most = wanted.max(*most);
        if now.saturating_duration_since(*since) >= FALLS_AFTER {
            (self.told, self.aim, self.less, self.news) = (*most, *most, None, News::Due);
        }
    }

    fn rise(&mut self, now: Instant, to: u16) {
        if to <= self.aim {
            return;
        }
        if self.told == self.aim {
            self.climbed = Some(now);
        }
        (self.aim, self.less) = (to, None);
    }

    /// What the packet that is sent now under this number says, in units of 10 ms; `None` where the player knows.
    #[inline]
    pub fn say(&mut self, now: Instant, sequence: u64) -> Option<u16> {
        if self.told < self.aim {
            self.climb(now);
        }
        if let News::Due = self.news {
            self.news = News::Since(sequence);
        }
        self.repeat(sequence)
    }

    /// By two thirds of the time that has passed: the player shows what comes meanwhile at three fifths of its pace. Where three pictures are lost in a row it is told
    /// of all of it by the next, and that is not yet a freeze.
    fn climb(&mut self, now: Instant) {
        let passed = self.climbed.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let by = (passed.as_millis() * 2 / 3 / UNIT_MS).min(MOST_UNITS) as u16;
        if by > 0 {
            (self.told, self.news) = (self.aim.min(self.told + by), News::Due);
            self.climbed = Some(now);
        }
    }

    /// As [`say`](Self::say), for a packet that is sent again. What it said the first time may no longer hold; older ones say nothing.
    #[inline]
    pub fn repeat(&self, sequence: u64) -> Option<u16> {
        match self.news {
            News::Since(first) if sequence >= first => Some(self.told),
            _ => None,
        }
    }

    /// The player reports that this is the highest number it has: then it has seen whole pictures that said it.
    pub fn on_report(&mut self, highest: u64) {
        if let News::Since(first) = self.news
            && highest >= first + SURELY
        {
            self.news = News::None;
        }
    }

    /// Another picture begins: it is said once more, for the case that none of those that said it was shown.
    pub fn remind(&mut self) {
        if self.told > 0 {
            self.news = News::Due;
        }
    }

    /// Whether the player waits for repairs by now: it was told all there is to tell.
    pub fn waits(&self) -> bool {
        self.told > 0 && self.told == self.aim
    }

    /// What the player was told.
    pub fn told(&self) -> Duration {
        Duration::from_millis(10) * u32::from(self.told)
    }
}

/// In units of 10 ms, rounded up to steps.
fn units(wanted: Duration) -> u16 {
    (wanted.as_millis().div_ceil(STEP_MS) * (STEP_MS / UNIT_MS)).min(MOST_UNITS) as u16
}

/// From which loss on another round is waited for. Of the rounds one fails where request, repair or both are lost.
const ROUNDS: [f64; 3] = [0.01, 0.025, 0.07];
/// Pictures are 33 ms apart, and a loss shows by the next packet.
const SHOWS: Duration = Duration::from_millis(20);
/// More delay than this is a call nobody likes.
const LONGEST: Duration = Duration::from_millis(400);
const STEP_MS: u128 = 20;
const UNIT_MS: u128 = 10;
const MOST_UNITS: u128 = LONGEST.as_millis() / UNIT_MS;
/// So little less is not worth telling, in units of 10 ms.
const NO_LESS: u16 = 4;
const FALLS_AFTER: Duration = Duration::from_secs(30);
/// A player heeds what the first packet of a whole picture says: of so many packets some made one.
const SURELY: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn leg(loss: f64) -> Leg {
        Leg { loss, round_trip: ms(50), jitter: ms(20), again: ms(100) }
    }

    #[test]
    fn the_more_is_lost_the_more_rounds_are_waited_for() {
        let good = Leg { round_trip: ms(50), ..Leg::default() };
        let down = |loss| time_to_repair(&good, &leg(loss)).as_millis();
        // The gap shows, a round trip, jitter; then another request each.
        let [once, twice, thrice] = [20 + 50 + 20, 90 + 100, 90 + 200];
        assert_eq!(
            [0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5].map(down),
            [0, 0, once, once, twice, thrice, thrice]
        );
    }

    #[test]
    fn both_ways_count_and_there_is_an_end() {
        let both = |up, down| time_to_repair(&leg(up), &leg(down)).as_millis();
        assert_eq!(both(0.01, 0.01), 2 * 90);
        assert_eq!(both(0.05, 0.0), 190);
        assert_eq!(both(0.05, 0.05), 190);
        let far = Leg { round_trip: ms(350), ..leg(0.1) };
        assert_eq!(time_to_repair(&far, &leg(0.1)), LONGEST);
    }

    #[test]
    fn it_rises_soon_and_falls_after_a_while_to_what_was_wanted_meanwhile() {
        let (start, mut delay) = (origin(), PlayoutDelay::default());
        let mut after = |seconds, wanted| {
            let now = start + Duration::from_secs(seconds);
            delay.follow(now, ms(wanted));
            // So much later it has climbed.
            let _ = delay.say(now + ms(900), seconds);
            delay.told()
        };
        assert_eq!(after(0, 0), ms(0));
        assert_eq!(after(1, 95), ms(100));
        assert_eq!(after(2, 195), ms(200));
        assert_eq!(after(3, 100), ms(200));
        assert_eq!(after(20, 140), ms(200));
        assert_eq!(after(32, 90), ms(200));
        assert_eq!(after(33, 90), ms(140));
        // A little less is no news, and begins the wait anew.
        assert_eq!(after(34, 0), ms(140));
        assert_eq!(after(50, 120), ms(140));
        assert_eq!(after(65, 0), ms(140));
        assert_eq!(after(95, 0), ms(0));
        assert_eq!(after(96, 9_000), LONGEST);
    }

    #[test]
    fn a_player_is_slowed_down_from_picture_to_picture_but_at_the_first_one() {
        let (start, mut delay) = (origin(), PlayoutDelay::default());
        delay.follow(start, ms(70));
        // Thirty pictures a second, of two packets each; called for again and again.
        let told: Vec<_> = (0..5)
            .map(|picture| {
                let now = start + ms(picture * 1_000 / 30);
                delay.follow(now, ms(if picture < 2 { 70 } else { 100 }));
                [delay.say(now, picture * 2), delay.say(now + ms(1), picture * 2 + 1)]
            })
            .collect();
        assert_eq!(told, [None, Some(2), Some(4), Some(6), Some(8)].map(|units| [units; 2]));
        let mut first = PlayoutDelay::default();
        first.begin(start, ms(250));
        assert_eq!(first.say(start, 0), Some(26));
    }

    #[test]
    fn a_player_waits_once_it_was_told_all() {
        let (start, mut delay) = (origin(), PlayoutDelay::default());
        assert!(!delay.waits());
        delay.begin(start, ms(200));
        assert!(delay.waits(), "from the first picture on");
        delay.follow(start + ms(5000), ms(300));
        let waits = [30, 70, 160].map(|after| {
            let _ = delay.say(start + ms(5000 + after), after);
            delay.waits()
        });
        assert_eq!(waits, [false, false, true]);
        delay.follow(start + ms(10_000), ms(0));
        delay.follow(start + ms(41_000), ms(0));
        assert!(!delay.waits(), "it waits no more");
    }

    #[test]
    fn it_is_said_until_the_player_has_surely_heard_it_and_then_no_more() {
        let (now, mut delay) = (origin(), PlayoutDelay::default());
        assert_eq!(delay.say(now, 99), None);
        delay.begin(now, ms(200));
        assert_eq!(delay.repeat(99), None, "no packet has said it");
        assert_eq!([100, 101].map(|number| delay.say(now, number)), [Some(20); 2]);
        delay.on_report(115);
        assert_eq!((delay.say(now, 117), delay.repeat(100), delay.repeat(99)), (Some(20), Some(20), None));
        delay.on_report(116);
        assert_eq!((delay.say(now, 118), delay.repeat(117)), (None, None));
        delay.begin(now, ms(300));
        assert_eq!(delay.say(now, 119), Some(30));
        delay.on_report(134);
        assert_eq!(delay.say(now, 135), Some(30), "what was reported said something else");
        delay.on_report(135);
        assert_eq!(delay.say(now, 136), None);
        delay.remind();
        assert_eq!(delay.say(now, 137), Some(30));
    }
}
