//! What somebody in front of the screen would see of a slot: pictures, freezes, changes of sharpness.

use std::time::{Duration, Instant};

use crate::sim::client::Watched;
use crate::sim::mark::Mark;

/// A picture as it was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// When all of it, and all it builds upon, had arrived, and its time to be shown had come.
    pub at: Instant,
    /// Which.
    pub mark: Mark,
}

impl Watched {
    /// The pictures in the order shown. A picture is shown when it is whole and its predecessor was shown, or when it is a key frame; what cannot
    /// be decoded is not shown.
    pub fn shown(&self) -> Vec<Shown> {
        let mut pictures: Vec<(Instant, Mark, u8)> = Vec::new();
        let mut times: Vec<u32> = Vec::new();
        for (number, mark) in &self.received {
            let Some(&at) = self.arrivals.get(number) else { continue };
            match pictures.last_mut() {
                Some((latest, last, parts)) if is_same(last, mark) => {
                    *latest = (*latest).max(at);
                    *parts += 1;
                }
                _ => {
                    pictures.push((at, *mark, 1));
                    times.extend(self.timestamps.get(number));
                }
            }
        }
        let schedule = schedule(&pictures, &times);
        let mut shown: Vec<Shown> = Vec::new();
        let mut decoded: Option<Mark> = None;
        let mut latest: Option<Instant> = None;
        for ((at, mark, parts), planned) in pictures.into_iter().zip(schedule) {
            let follows = decoded.is_some_and(|last| {
                (last.publisher, last.encoding, last.frame + 1) == (mark.publisher, mark.encoding, mark.frame)
            });
            if parts < mark.parts || !(mark.key || follows) {
                continue;
            }
            let at = latest.map_or(at, |latest| latest.max(at)).max(planned);
            (decoded, latest) = (Some(mark), Some(at));
            shown.push(Shown { at, mark });
        }
        shown
    }

    /// How long each number that was missing stayed away after a later one had come. Those that never came are `None`.
    pub fn repairs(&self) -> Vec<Option<Duration>> {
        let (Some((&first, _)), Some((&last, _))) =
            (self.arrivals.first_key_value(), self.arrivals.last_key_value())
        else {
            return Vec::new();
        };
        let mut repairs = Vec::new();
        let mut next: Option<Instant> = None;
        for number in (first..=last).rev() {
            let at = self.arrivals.get(&number).copied();
            match (at, next) {
                (None, _) => repairs.push(None),
                (Some(at), Some(later)) if at > later => repairs.push(Some(at - later)),
                _ => {}
            }
            next = match (at, next) {
                (Some(at), Some(later)) => Some(at.min(later)),
                (at, next) => at.or(next),
            };
        }
        repairs
    }
}

/// When each picture would be shown if it came in time: the quickest one on its way gives the clock, and everything is held back a little, as
/// every browser's jitter buffer does.
fn schedule(pictures: &[(Instant, Mark, u8)], times: &[u32]) -> Vec<Instant> {
    let Some((&(origin, ..), &first)) = pictures.first().zip(times.first()) else { return Vec::new() };
    let offset = |time: u32| Duration::from_micros(u64::from(time.wrapping_sub(first)) * 1_000_000 / 90_000);
    let early = |(&(at, ..), &time): (&(Instant, Mark, u8), &u32)| {
        (origin + offset(time)).saturating_duration_since(at)
    };
    let earliest = pictures.iter().zip(times).map(early).max().unwrap_or_default();
    times.iter().map(|&time| origin + offset(time) + PLAYOUT_DELAY - earliest.min(PLAYOUT_DELAY)).collect()
}

/// Chromium counts on one retransmission: a round trip of 50 ms, and what such a line's jitter needs.
const PLAYOUT_DELAY: Duration = Duration::from_millis(120);

/// The gaps between pictures that anybody would call a freeze: longer than three times the mean gap and than the mean and 150 ms. Pictures of 30
/// per second arrive in tens of milliseconds, so the mean is that of the whole time watched.
pub fn freezes(shown: &[Shown]) -> Vec<(Instant, Duration)> {
    let gaps: Vec<(Instant, Duration)> =
        shown.windows(2).map(|pair| (pair[0].at, pair[1].at - pair[0].at)).collect();
    let total: Duration = gaps.iter().map(|(_, gap)| *gap).sum();
    let Some(mean) = total.checked_div(gaps.len() as u32) else { return Vec::new() };
    let limit = (mean * 3).max(mean + Duration::from_millis(150));
    gaps.into_iter().filter(|(_, gap)| *gap > limit).collect()
}

/// How many times the encoding shown changed.
pub fn switches(shown: &[Shown]) -> usize {
    shown.windows(2).filter(|pair| pair[0].mark.encoding != pair[1].mark.encoding).count()
}

fn is_same(a: &Mark, b: &Mark) -> bool {
    (a.publisher, a.encoding, a.frame) == (b.publisher, b.encoding, b.frame)
}
