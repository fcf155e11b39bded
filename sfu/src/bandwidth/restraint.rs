//! Not to rise again too soon after a fall: a picture that changes its sharpness all the time is worse than one a little less sharp.

use std::time::{Duration, Instant};

/// When one picture may get better again after the line forced it down.
///
/// What it fell from waits the longer the more falls there were, each within a minute of the one before: a line that carries more only now and then is not
/// tried every time it does. What is smaller than that has not been shown to be too much: it waits only until the queue of the fall is gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restraint {
    last: Option<Instant>,
    falls: u32,
    /// The height of the picture that was too much.
    from: u16,
}

impl Restraint {
    /// The line forced the picture down from a height. Steps in quick succession are one fall, from the first of these heights.
    pub fn on_fall(&mut self, now: Instant, from: u16) {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        if since.is_none_or(|since| since >= ONE_FALL) {
            let remembered = since.is_some_and(|since| since < MEMORY);
            self.falls = if remembered { self.falls.saturating_add(1) } else { 1 };
            self.from = from;
        }
        self.last = Some(now);
    }

    /// The height that it may rise to: `u16::MAX` where nothing holds it back, 0 soon after a fall. `apart`, 0 to 1, is another for each picture: those
    /// that fell together, behind one bottleneck, shall not rise together, or neither finds room.
    pub fn rises_to(&self, now: Instant, apart: f64) -> u16 {
        let Some(last) = self.last else { return u16::MAX };
        let since = now.saturating_duration_since(last).div_f64(1.0 + apart.clamp(0.0, 1.0) * APART);
        if since >= self.wait() {
            u16::MAX
        } else if since >= SMALLER {
            self.from.saturating_sub(1)
        } else {
            0
        }
    }

    /// Whether a pause may end.
    pub fn may_resume(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now >= last + PAUSE)
    }

    fn wait(&self) -> Duration {
        let doubled = 1 << self.falls.saturating_sub(1).min(4);
        (SHORTEST * doubled).min(LONGEST)
    }
}

const PAUSE: Duration = Duration::from_secs(2);
const ONE_FALL: Duration = Duration::from_secs(3);
/// For what is smaller than the picture that was too much.
const SMALLER: Duration = Duration::from_millis(1500);
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
        assert_eq!(restraint.rises_to(at(0), 0.0), u16::MAX);
        let pauses: Vec<u64> = [0, 10, 20, 40, 70, 200]
            .into_iter()
            .map(|fall| {
                restraint.on_fall(at(fall), 720);
                (fall..).find(|&second| restraint.rises_to(at(second), 0.0) == u16::MAX).unwrap_or_default()
                    - fall
            })
            .collect();
        assert_eq!(pauses, [3, 6, 12, 20, 20, 3]);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn steps_down_in_a_row_are_one_fall() {
        let origin = Instant::now();
        let mut restraint = Restraint::default();
        restraint.on_fall(origin, 720);
        restraint.on_fall(origin + Duration::from_secs(1), 360);
        restraint.on_fall(origin + Duration::from_secs(2), 270);
        let rises_to = |ms: u64, apart| restraint.rises_to(origin + Duration::from_millis(ms), apart);
        assert_eq!(rises_to(4900, 0.0), 719);
        assert_eq!(rises_to(5000, 0.0), u16::MAX);
        assert_eq!(rises_to(6400, 1.0), 719, "half as long again");
        assert_eq!(rises_to(6500, 1.0), u16::MAX);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn what_was_not_too_much_may_be_shown_before_what_was() {
        let origin = Instant::now();
        let at = |seconds: f64| origin + Duration::from_secs_f64(seconds);
        let mut restraint = Restraint::default();
        restraint.on_fall(at(0.0), 720);
        restraint.on_fall(at(10.0), 540);
        let rises_to = |seconds: f64, apart| restraint.rises_to(at(seconds), apart);
        assert_eq!(rises_to(11.4, 0.0), 0, "the queue of the fall is not gone yet");
        assert_eq!(rises_to(11.5, 0.0), 539);
        assert_eq!(rises_to(12.2, 1.0), 0, "half as long again");
        assert_eq!(rises_to(12.3, 1.0), 539);
        assert_eq!(rises_to(15.9, 0.0), 539);
        assert_eq!(rises_to(16.0, 0.0), u16::MAX);
    }
}
