//! What somebody in front of the screen would see of a slot: pictures, freezes, changes of sharpness.

use std::time::{Duration, Instant};

use crate::sim::mark::Mark;
use crate::sim::watched::Watched;

/// A picture as it was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// When all of it, and all it builds upon, had arrived, and its time to be shown had come.
    pub at: Instant,
    /// Which.
    pub mark: Mark,
}

/// A picture as a player plans it.
#[derive(Clone, Copy, Debug)]
struct Planned {
    mark: Mark,
    /// When all of it had arrived, if it did.
    whole: Option<Instant>,
    /// When its time to be shown is.
    due: Instant,
}

impl Watched {
    /// The pictures in the order shown. A picture is shown when it is whole and what it builds upon was shown, or when it is a key frame; what cannot
    /// be decoded is not shown.
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = Vec::new();
        // The last few, as many as any builds upon.
        let mut decoded: [Option<Mark>; 4] = [None; 4];
        let mut latest: Option<Instant> = None;
        for Planned { mark, whole, due } in self.planned() {
            let follows = decoded.iter().flatten().any(|base| {
                (base.publisher, base.encoding, base.frame + mark.builds_upon())
                    == (mark.publisher, mark.encoding, mark.frame)
            });
            let Some(whole) = whole.filter(|_| mark.key || follows) else { continue };
            let at = latest.map_or(whole, |latest| latest.max(whole)).max(due);
            decoded.rotate_right(1);
            decoded[0] = Some(mark);
            latest = Some(at);
            shown.push(Shown { at, mark });
        }
        shown
    }

    /// The pictures due from an instant on, and how many of them were not whole by then: a player leaves those out, where it may.
    pub fn pictures_late(&self, from: Instant) -> (usize, usize) {
        let due: Vec<Planned> = self.planned().into_iter().filter(|picture| picture.due >= from).collect();
        let late = due.iter().filter(|picture| picture.whole.is_none_or(|whole| whole > picture.due)).count();
        (due.len(), late)
    }

    /// Every picture of which something came, as a browser's player plans it: the quickest one on its way gives the clock; everything is held back by what
    /// jitter calls for or by what the server tells, if that is more: what is told is the least at once. Its own delay follows slowly, or at once by a picture
    /// that comes late.
    fn planned(&self) -> Vec<Planned> {
        let mut pictures: Vec<(Mark, Instant, u8, u32, Option<u16>)> = Vec::new();
        for (number, mark) in &self.received {
            let (Some(&at), Some(&time)) = (self.arrivals.get(number), self.timestamps.get(number)) else {
                continue;
            };
            let told = self.told.get(number).copied();
            match pictures.last_mut() {
                Some((last, latest, parts, ..)) if is_same(last, mark) => {
                    *latest = (*latest).max(at);
                    *parts += 1;
                }
                _ => pictures.push((*mark, at, 1, time, told)),
            }
        }
        let Some(&(_, origin, _, first, _)) = pictures.first() else { return Vec::new() };
        let ideal = |time: u32| {
            origin + Duration::from_micros(u64::from(time.wrapping_sub(first)) * 1_000_000 / 90_000)
        };
        let early = |&(_, at, _, time, _): &(Mark, Instant, u8, u32, Option<u16>)| {
            ideal(time).saturating_duration_since(at)
        };
        let earliest = pictures.iter().map(early).max().unwrap_or_default();
        let (mut told, mut delay, mut former) = (Duration::ZERO, JITTER_DELAY, origin);
        let mut planned = Vec::new();
        for (mark, at, parts, time, said) in pictures {
            let whole = (parts >= mark.parts).then_some(at);
            if let Some(units) = said.filter(|_| whole.is_some()) {
                told = Duration::from_millis(10) * u32::from(units);
            }
            let target = told.max(JITTER_DELAY);
            if planned.is_empty() {
                // At first there is nothing to change.
                delay = target;
            }
            let step = ideal(time).saturating_duration_since(former) / 10;
            former = ideal(time);
            delay = target.clamp(delay.saturating_sub(step), delay + step);
            let due = ideal(time) + delay.max(told) - earliest;
            if let Some(late) = whole.map(|whole| whole.saturating_duration_since(due))
                && delay < target
            {
                delay = (delay + late).min(target);
            }
            planned.push(Planned { mark, whole, due });
        }
        planned
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

/// What Chromium waits on a line with 20 ms of jitter. Repairs do not count: it does not know the round trip of what it only receives.
const JITTER_DELAY: Duration = Duration::from_millis(40);

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
