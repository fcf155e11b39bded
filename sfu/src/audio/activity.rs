//! One voice: in which of the last frames it was active, and what that says.

use std::time::Duration;

/// A voice's last 128 frames of [`FRAME`], one bit each, the latest lowest.
///
/// Whether a frame is active is judged against the voice's own quiet: a fan or a street does not speak, however loud. Counting frames over
/// three spans is after Volfin and Cohen, "Dominant speaker identification for multipoint videoconferencing" (2012), sections 3 and 4.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    frames: u128,
    /// The frame of the lowest bit.
    latest: u64,
    /// Loudness of its quiet, in 256ths of a decibel above the least.
    floor: u32,
    /// Mean loudness of active frames, in the same unit.
    loudness: u32,
}

/// How many active frames there are in each span that ends now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spans {
    /// Of the last 5: a sound.
    pub(super) immediate: u32,
    /// Of the last 25, half a second: a word.
    pub(super) medium: u32,
    /// Of the last 100, two seconds: a sentence.
    pub(super) long: u32,
}

impl Activity {
    /// Nothing was heard yet. `frame` counts from the same instant as in all that follows.
    pub(super) fn new(frame: u64) -> Self {
        Self { frames: 0, latest: frame, floor: FIRST_FLOOR * UNIT, loudness: 0 }
    }

    /// One packet's level (RFC 6464 section 3), in decibels below overload, from 0, the loudest, to 127.
    #[inline]
    pub(super) fn on_level(&mut self, frame: u64, level: u8) {
        let passed = frame.saturating_sub(self.latest);
        let loudness = u32::from(127 - level.min(127)) * UNIT;
        self.follow_floor(loudness, passed);
        let active = loudness >= (self.floor + OVER_FLOOR * UNIT).max(LEAST * UNIT);
        self.frames = self.frames_at(frame);
        self.latest = self.latest.max(frame);
        if !active {
            return;
        }
        // A packet speaks for the time since the one before, unless nothing was sent for a while: then it ends a silence.
        let covered = if passed <= LONGEST_PACKET { passed.max(1) } else { 1 };
        let fresh = self.frames & ((1 << SPAN_LONG) - 1) == 0;
        self.frames |= (1 << covered) - 1;
        self.loudness = if fresh { loudness } else { (7 * self.loudness + loudness) / 8 };
    }

    /// The level while it is active, smoothed; in decibels below overload.
    pub(super) fn level(&self) -> u8 {
        127u8.saturating_sub(u8::try_from(self.loudness / UNIT).unwrap_or(127))
    }

    /// What the spans that end with `frame` hold. Frames that nothing came for are silent.
    pub(super) fn spans(&self, frame: u64) -> Spans {
        let frames = self.frames_at(frame);
        let count = |span: u32| (frames & ((1 << span) - 1)).count_ones();
        Spans { immediate: count(SPAN_IMMEDIATE), medium: count(SPAN_MEDIUM), long: count(SPAN_LONG) }
    }

    fn frames_at(&self, frame: u64) -> u128 {
        let passed = frame.saturating_sub(self.latest);
        u32::try_from(passed).ok().and_then(|passed| self.frames.checked_shl(passed)).unwrap_or(0)
    }

    /// Quiet is believed at once, noise only as it lasts.
    fn follow_floor(&mut self, loudness: u32, passed: u64) {
        let risen = self.floor + FLOOR_RISE * passed.min(LONGEST_PACKET) as u32;
        self.floor = risen.min(loudness).max(LEAST_FLOOR * UNIT);
    }
}

impl Spans {
    /// A sound that may be speech: long enough for no click.
    pub(super) fn sounds(self) -> bool {
        self.immediate >= 3
    }

    /// Enough of it for speech: no cough is so long.
    pub(super) fn speaks(self) -> bool {
        self.long >= 20
    }

    /// Whether this voice takes the lead from another: it must be ahead over every span. Over the longest it need not be by much, as who
    /// led has a lead there; over the medium one who led must be all but silent, so that of two who talk over each other the first stays.
    pub(super) fn leads(self, former: Self) -> bool {
        self.speaks()
            && self.sounds()
            && !former.sounds()
            && self.medium >= 10 + 3 * former.medium
            && 2 * self.long >= former.long
    }
}

/// The finest that is looked at: an Opus frame as most are sent.
pub(super) const FRAME: Duration = Duration::from_millis(20);
/// The longest Opus packet, in frames.
const LONGEST_PACKET: u64 = 6;
const SPAN_IMMEDIATE: u32 = 5;
const SPAN_MEDIUM: u32 = 25;
const SPAN_LONG: u32 = 100;
/// Of a decibel.
const UNIT: u32 = 256;
/// A decibel a second.
const FLOOR_RISE: u32 = UNIT / 50;
/// What a room is taken for before it was quiet, as loudness: 70 decibels below overload.
const FIRST_FLOOR: u32 = 57;
/// A digital silence is no measure of a room.
const LEAST_FLOOR: u32 = 47;
/// Speech stands out from a room by so much.
const OVER_FLOOR: u32 = 9;
/// What is more than 62 decibels below overload is not meant for anybody.
const LEAST: u32 = 65;

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(levels: impl IntoIterator<Item = u8>) -> (Activity, u64) {
        let mut activity = Activity::new(0);
        let mut frame = 0;
        for level in levels {
            frame += 1;
            activity.on_level(frame, level);
        }
        (activity, frame)
    }

    #[test]
    fn speech_is_what_stands_out_from_quiet() {
        let (activity, now) = heard([80; 50].into_iter().chain([30; 10]));
        assert_eq!(activity.spans(now), Spans { immediate: 5, medium: 10, long: 10 });
        assert_eq!(activity.level(), 30);
        let (activity, now) = heard([127; 200]);
        assert_eq!(activity.spans(now).long, 0);
        assert_eq!(activity.level(), 127);
    }

    #[test]
    fn a_steady_noise_is_no_speech_for_long() {
        let (mut activity, mut now) = heard([45; 50 * 30]);
        assert_eq!(activity.spans(now).long, 0);
        // Who speaks over it is heard, the next quiet restores the measure.
        for _ in 0..5 {
            now += 1;
            activity.on_level(now, 25);
        }
        assert!(activity.spans(now).sounds());
    }

    #[test]
    fn a_packet_stands_for_as_long_as_it_lasts() {
        let mut activity = Activity::new(0);
        for packet in 1..=4 {
            activity.on_level(packet * 3, 30);
        }
        assert_eq!(activity.spans(12), Spans { immediate: 5, medium: 12, long: 12 });
        // After a silence without packets it stands for one frame.
        activity.on_level(60, 30);
        assert_eq!(activity.spans(60), Spans { immediate: 1, medium: 1, long: 13 });
    }

    #[test]
    fn silence_without_packets_is_silence() {
        let (activity, now) = heard([30; 100]);
        assert_eq!(activity.spans(now).long, 100);
        assert_eq!(activity.spans(now + 40), Spans { immediate: 0, medium: 0, long: 60 });
        assert_eq!(activity.spans(now + 128).long, 0);
        assert_eq!(activity.spans(u64::MAX).long, 0);
    }
}
