//! Whether an encoding that has come to life moves evenly already.

use std::time::{Duration, Instant};

/// An encoder's first key frame often takes more than its share, and pictures are left out to make up for it: Chromium's libvpx leaves out four to eight
/// where an encoding comes back from a pause, after the key frame or the picture that follows it. Somebody who is shown something else until then sees no freeze.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Onset {
    /// The only one of its publication: there is nothing else to show meanwhile.
    Only,
    #[default]
    Silent,
    Starting {
        since: Instant,
        /// The last picture's timestamp as received, and when it began to come.
        picture: (u32, Instant),
        /// That one came soon after the one before it.
        even: bool,
    },
    Steady,
}

impl Onset {
    /// It came to life with a picture of that timestamp.
    pub(super) fn begin(&mut self, now: Instant, timestamp: u32) {
        if *self != Self::Only {
            *self = Self::Starting { since: now, picture: (timestamp, now), even: false };
        }
    }

    /// A packet came; whether the encoding moves evenly from now on, and did not before.
    #[inline]
    pub(super) fn on_packet(&mut self, now: Instant, timestamp: u32) -> bool {
        let Self::Starting { since, picture: (last, began), even: before } = *self else { return false };
        if !(1..1 << 31).contains(&timestamp.wrapping_sub(last)) {
            return false;
        }
        let even = now.saturating_duration_since(began) <= EVEN;
        let steady = even && before || now.saturating_duration_since(since) >= LONG;
        *self = if steady { Self::Steady } else { Self::Starting { since, picture: (timestamp, now), even } };
        steady
    }

    pub(super) fn is_steady(&self) -> bool {
        *self == Self::Steady
    }
}

/// Three pictures that come one so soon after another move.
const EVEN: Duration = Duration::from_millis(140);
/// Whoever sends fewer pictures than that has no more.
const LONG: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many milliseconds it is steady, of pictures that come at these.
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn steady_after(pictures: &[u64]) -> Option<u64> {
        let origin = Instant::now();
        let mut onset = Onset::default();
        onset.begin(origin, u32::MAX - 100);
        pictures.iter().copied().find(|&at| {
            let timestamp = (u32::MAX - 100).wrapping_add(at as u32 * 90);
            let now = origin + Duration::from_millis(at);
            assert!(!onset.is_steady());
            // The second packet of a picture tells nothing.
            onset.on_packet(now, timestamp) | onset.on_packet(now + Duration::from_millis(2), timestamp)
        })
    }

    #[test]
    fn it_is_steady_once_pictures_follow_each_other() {
        assert_eq!(steady_after(&[0, 33, 66, 100]), Some(66));
        assert_eq!(steady_after(&[0, 233, 266, 300, 333]), Some(300), "six were left out after the first");
        assert_eq!(steady_after(&[0, 33, 200, 233, 266]), Some(266), "four after the second");
        assert_eq!(steady_after(&[0, 120, 240]), Some(240), "three after each: no freeze");
        assert_eq!(steady_after(&[0, 150, 300, 390]), None);
        assert_eq!(steady_after(&[0, 200, 400]), Some(400), "five a second are all there are");
    }
}
