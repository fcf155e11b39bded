use std::time::{Duration, Instant};

/// How much a client may send on its data channels: what is beyond is lost, and SCTP slows the client down as a narrow line would.
pub(super) struct Intake {
    /// What a byte takes of the time. As much as a second's worth may come at once.
    nanos_per_byte: f64,
    /// When all that was taken has had its time.
    clear_at: Option<Instant>,
    refused: u64,
}

impl Intake {
    pub(super) fn new(bytes_per_second: usize) -> Self {
        Self { nanos_per_byte: 1e9 / bytes_per_second.max(1) as f64, clear_at: None, refused: 0 }
    }

    /// Whether a packet of so many bytes, with so many messages or parts of one, may be taken.
    pub(super) fn admits(&mut self, now: Instant, bytes: usize, parts: usize) -> bool {
        let cost = bytes.saturating_add(parts.saturating_mul(BYTES_PER_PART));
        let takes = Duration::from_nanos((self.nanos_per_byte * cost as f64) as u64);
        let waiting = self.clear_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let admitted = waiting.saturating_add(takes) <= AT_ONCE;
        if admitted {
            self.clear_at = Some(now + waiting + takes);
        } else {
            self.refused += 1;
        }
        admitted
    }

    /// How many packets were refused since it was last asked.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

/// What a message is counted as beside its bytes: it costs us that much, and whoever it is for.
const BYTES_PER_PART: usize = 1024;
const AT_ONCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn it_takes_a_second_at_once_and_then_the_rate() {
        let mut now = Instant::now();
        let mut intake = Intake::new(100 * 2048);
        let take = |intake: &mut Intake, now| (0..1000).filter(|_| intake.admits(now, 1024, 1)).count();
        assert_eq!(take(&mut intake, now), 100);
        assert_eq!(intake.take_refused(), 900);
        for _ in 0..100_000 {
            now += Duration::from_micros(10);
            assert!(!intake.admits(now, usize::MAX, 1));
        }
        assert_eq!(take(&mut intake, now), 100, "whatever was refused meanwhile");
        now += Duration::from_millis(100);
        assert_eq!(take(&mut intake, now), 10);
        now += Duration::from_secs(100);
        assert_eq!(take(&mut intake, now), 100, "no more is saved up");
    }
}
