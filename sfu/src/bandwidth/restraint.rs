//! Not to rise again too soon after a fall: a picture that changes its sharpness all the time is worse than one a little less sharp.

use std::time::{Duration, Instant};

/// When one picture may get better again after the line forced it down.
///
/// The pause after a fall doubles with every fall within a minute of the one before: a line that carries more only now and then is not tried
/// every time it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restraint {
    last: Option<Instant>,
    falls: u32,
}

impl Restraint {
    /// The line forced the picture down. Steps in quick succession are one fall.
    pub fn on_fall(&mut self, now: Instant) {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        self.falls = match since {
            Some(since) if since < ONE_FALL => self.falls,
            Some(since) if since < MEMORY => self.falls.saturating_add(1),
            _ => 1,
        };
        self.last = Some(now);
    }

    /// Whether it may rise. `apart`, 0 to 1, is another for each picture: those that fell together, behind one bottleneck, shall not rise together, or
    /// neither finds room.
    pub fn may_rise(&self, now: Instant, apart: f64) -> bool {
        self.until(apart).is_none_or(|until| now >= until)
    }

    /// Whether a pause may end.
    pub fn may_resume(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now >= last + PAUSE)
    }

    fn until(&self, apart: f64) -> Option<Instant> {
        let doubled = 1 << self.falls.saturating_sub(1).min(4);
        let wait = (SHORTEST * doubled).min(LONGEST);
        Some(self.last? + wait + wait.mul_f64(apart.clamp(0.0, 1.0) * APART))
    }
}

const PAUSE: Duration = Duration::from_secs(2);
const ONE_FALL: Duration = Duration::from_secs(3);
const SHORTEST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(20);
/// Of the wait, at most.
const APART: f64 = 0.5;
const MEMORY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn every_fall_within_a_minute_doubles_the_pause() {
        let origin = Instant::now();
        let at = |seconds: u64| origin + Duration::from_secs(seconds);
        let mut restraint = Restraint::default();
        assert!(restraint.may_rise(at(0), 0.0));
        let pauses: Vec<u64> = [0, 10, 20, 40, 70, 200]
            .into_iter()
            .map(|fall| {
                restraint.on_fall(at(fall));
                (fall..).find(|&second| restraint.may_rise(at(second), 0.0)).unwrap_or_default() - fall
            })
            .collect();
        assert_eq!(pauses, [3, 6, 12, 20, 20, 3]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn steps_down_in_a_row_are_one_fall() {
        let origin = Instant::now();
        let mut restraint = Restraint::default();
        restraint.on_fall(origin);
        restraint.on_fall(origin + Duration::from_secs(1));
        restraint.on_fall(origin + Duration::from_secs(2));
        assert!(!restraint.may_rise(origin + Duration::from_millis(4900), 0.0));
        assert!(restraint.may_rise(origin + Duration::from_secs(5), 0.0));
        assert!(!restraint.may_rise(origin + Duration::from_secs(6), 1.0), "half as long again");
        assert!(restraint.may_rise(origin + Duration::from_millis(6500), 1.0));
    }
}
