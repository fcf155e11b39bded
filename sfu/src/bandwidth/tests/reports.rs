//! What is made of reports where there is no transport-wide feedback.

use std::time::{Duration, Instant};

use super::World;
use crate::bandwidth::{BandwidthEstimator, Bitrate};

/// An estimator of a line over which so much is sent in packets without numbers.
struct Plain {
    estimator: BandwidthEstimator,
    now: Instant,
    sent: Bitrate,
}

impl Plain {
    fn new(sent_kbps: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let now = Instant::now();
        let estimator = BandwidthEstimator::new(now);
        let mut plain = Self { estimator, now, sent: Bitrate::kbps(sent_kbps) };
        plain.send_for(Duration::from_secs(1));
        plain
    }

    fn send_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.estimator.on_sent_unnumbered(self.now, 1000);
            self.now += self.sent.time_for(1000);
        }
    }

    /// A second passes, and a report tells the part lost in it. In kbit/s, what the estimate is before and after.
    fn report(&mut self, loss: f64) -> (f64, f64) {
        self.send_for(Duration::from_secs(1));
        let before = self.estimator.estimate().as_bps() as f64 / 1000.0;
        self.estimator.on_report(self.now, (loss * 256.0) as u8, None);
        (before, self.estimator.estimate().as_bps() as f64 / 1000.0)
    }
}

#[test]
fn much_loss_cuts_some_holds_and_little_climbs() {
    let mut line = Plain::new(600);
    line.report(0.05);
    let (before, after) = line.report(0.15);
    // 38 of 256.
    assert!((after - before * (1.0 - 0.5 * 38.0 / 256.0)).abs() < 1.0, "{before} to {after}");
    let (before, after) = line.report(0.05);
    assert_eq!(before, after);
    let (before, after) = line.report(0.01);
    assert!((after - (before * 1.08 + 1.0)).abs() < 5.0, "{before} to {after}");
    for _ in 0..30 {
        line.report(0.01);
    }
    let (_, after) = line.report(0.01);
    // The window of what is sent holds one packet more or less.
    assert!((2360.0..=2440.0).contains(&after), "four times what is sent, and no more: {after}");
    for _ in 0..60 {
        line.report(0.5);
    }
    assert_eq!(line.estimator.estimate(), Bitrate::kbps(30), "the least that is thought of any line");
}

#[test]
fn a_limit_is_kept_and_may_be_higher_than_a_guess() {
    let mut line = Plain::new(600);
    line.estimator.on_remb(line.now, Bitrate::kbps(500));
    assert_eq!(line.estimator.estimate(), Bitrate::kbps(500));
    line.report(0.0);
    assert_eq!(line.estimator.estimate(), Bitrate::kbps(500), "whatever does not get lost");
    line.estimator.on_remb(line.now, Bitrate::kbps(5000));
    let estimate = line.estimator.estimate().as_bps() / 1000;
    assert!((850..=950).contains(&estimate), "{estimate}: it knows of no more than was sent");
}

#[test]
fn feedback_is_better_than_reports() {
    let mut world = World::new(1, 3000, 2000);
    world.run_ms(5000);
    let (origin, now_us) = (world.origin, world.now_us);
    let estimator = &mut world.flows[0].estimator;
    let now = origin + Duration::from_micros(now_us as u64);
    let before = estimator.estimate();
    assert!(before > Bitrate::kbps(1500), "{before:?}");
    estimator.on_remb(now, Bitrate::kbps(100));
    for _ in 0..10 {
        estimator.on_report(now, 128, None);
    }
    assert_eq!((estimator.estimate(), estimator.limit()), (before, None));
}
