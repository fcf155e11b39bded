//! What was sent under one number, in few bytes: every viewer has some hundreds of these.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::codec::PictureIds;
use crate::egress::history::{Marks, Sent, Worth};

/// One [`Sent`] with what became of it. Its own number is where it stands; the source's is cut to its low 32 bits, and times are in milliseconds:
/// [`sent`](Self::sent) gives the numbers back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    source_sequence: u32,
    timestamp: u32,
    at_ms: u32,
    /// Never 0, so that a vacant place takes no more.
    bytes: NonZeroU16,
    /// When it was sent again last: so long after it was sent, and 1 more; 0 when it was not.
    resent_ms: u16,
    picture_id: u16,
    frame_number: u16,
    transport_number: u16,
    /// 12 bits, or [`NO_DELAY`].
    playout_delay: u16,
    flags: u8,
    /// The encoding's index, and in the two highest bits what it is worth.
    encoding: u8,
    tl0_pic_idx: u8,
    /// Repairs sent whose loss was not reported.
    pub(super) copies: u8,
}

const _: () = assert!(size_of::<Option<Kept>>() == 28);

impl Kept {
    /// `at_ms` by any clock that goes on; sizes above 65535 bytes count as that.
    #[inline]
    pub(super) fn new(at_ms: u32, sent: &Sent, bytes: usize) -> Self {
        let Sent { picture, frame_number, marks, .. } = *sent;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(sent.marker, MARKER)
            | flag(sent.empty, EMPTY)
            | flag(sent.redundant, REDUNDANT)
            | flag(marks.mid, MID)
            | flag(picture.is_some(), PICTURE)
            | flag(frame_number.is_some(), FRAME_NUMBER)
            | flag(marks.transport_number.is_some(), TRANSPORT_NUMBER);
        Self {
            source_sequence: sent.source_sequence as u32,
            timestamp: sent.timestamp,
            at_ms,
            bytes: u16::try_from(bytes)
                .ok()
                .map_or(NonZeroU16::MAX, |bytes| NonZeroU16::new(bytes).unwrap_or(NonZeroU16::MIN)),
            resent_ms: 0,
            picture_id: picture.map_or(0, |picture| picture.picture_id),
            frame_number: frame_number.unwrap_or(0),
            transport_number: marks.transport_number.unwrap_or(0),
            playout_delay: marks.playout_delay.unwrap_or(NO_DELAY),
            flags,
            encoding: sent.encoding & ENCODING | (sent.worth as u8) << WORTH_SHIFT,
            tl0_pic_idx: picture.map_or(0, |picture| picture.tl0_pic_idx),
            copies: 0,
        }
    }

    /// What was sent, given the slot's number, and a source's number less than 2^31 away from the one it was.
    pub(super) fn sent(&self, sequence: u64, near_source: u64) -> Sent {
        let has = |flag: u8| self.flags & flag != 0;
        let picture = PictureIds { picture_id: self.picture_id, tl0_pic_idx: self.tl0_pic_idx };
        Sent {
            encoding: self.encoding & ENCODING,
            source_sequence: nearest(near_source, self.source_sequence),
            sequence,
            timestamp: self.timestamp,
            marker: has(MARKER),
            picture: has(PICTURE).then_some(picture),
            frame_number: has(FRAME_NUMBER).then_some(self.frame_number),
            empty: has(EMPTY),
            redundant: has(REDUNDANT),
            worth: match self.encoding >> WORTH_SHIFT {
                0 => Worth::Spare,
                1 => Worth::Link,
                _ => Worth::Key,
            },
            marks: Marks {
                transport_number: has(TRANSPORT_NUMBER).then_some(self.transport_number),
                mid: has(MID),
                playout_delay: Some(self.playout_delay).filter(|&delay| delay != NO_DELAY),
            },
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.get().into()
    }

    /// How long ago it was sent first.
    #[inline]
    pub(super) fn age(&self, now_ms: u32) -> Duration {
        Duration::from_millis(self.age_ms(now_ms).into())
    }

    /// Whether that is not longer than `limit`.
    #[inline]
    pub(super) fn is_younger(&self, now_ms: u32, limit: Duration) -> bool {
        u128::from(self.age_ms(now_ms)) <= limit.as_millis()
    }

    /// How long ago it was sent again; `None` when it was not.
    pub(super) fn since_resent(&self, now_ms: u32) -> Option<Duration> {
        let resent_ms = self.resent_ms.checked_sub(1)?;
        Some(Duration::from_millis(self.age_ms(now_ms).saturating_sub(resent_ms.into()).into()))
    }

    pub(super) fn was_resent(&self) -> bool {
        self.resent_ms > 0
    }

    /// It is sent again now, within a minute of the first time.
    pub(super) fn note_resent(&mut self, now_ms: u32) {
        self.resent_ms = u16::try_from(self.age_ms(now_ms)).unwrap_or(u16::MAX).saturating_add(1);
    }

    #[inline]
    fn age_ms(&self, now_ms: u32) -> u32 {
        // Time does not go back; packets of one turn may be handled under two readings of the clock.
        let age = now_ms.wrapping_sub(self.at_ms);
        if age > u32::MAX / 2 { 0 } else { age }
    }
}

/// The number nearest to `near` that has these low bits.
fn nearest(near: u64, low: u32) -> u64 {
    let ahead = low.wrapping_sub(near as u32) as i32;
    near.wrapping_add_signed(ahead.into())
}

const MARKER: u8 = 1;
const EMPTY: u8 = 1 << 1;
const REDUNDANT: u8 = 1 << 2;
const MID: u8 = 1 << 3;
const PICTURE: u8 = 1 << 4;
const FRAME_NUMBER: u8 = 1 << 5;
const TRANSPORT_NUMBER: u8 = 1 << 6;
const NO_DELAY: u16 = u16::MAX;
const WORTH_SHIFT: u32 = 6;
/// A publication has fewer encodings than this can tell.
const ENCODING: u8 = (1 << WORTH_SHIFT) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_sent()(
            (encoding, sequence, source_sequence, timestamp) in (0..=ENCODING, 1u64 << 16..1 << 48, 1u64 << 16..1 << 48, any::<u32>()),
            (marker, empty, redundant, mid) in any::<(bool, bool, bool, bool)>(),
            picture in any::<Option<(u16, u8)>>(),
            frame_number in any::<Option<u16>>(),
            transport_number in any::<Option<u16>>(),
            playout_delay in prop::option::of(0u16..4096),
            worth in prop::sample::select(vec![Worth::Spare, Worth::Link, Worth::Key]),
        ) -> Sent {
            Sent {
                encoding,
                source_sequence,
                sequence,
                timestamp,
                marker,
                picture: picture.map(|(picture_id, tl0_pic_idx)| PictureIds { picture_id, tl0_pic_idx }),
                frame_number,
                empty,
                redundant,
                worth,
                marks: Marks { transport_number, mid, playout_delay },
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            sent in any_sent(),
            bytes in 1usize..65_536,
            later in 0u64..1 << 31,
            at_ms in any::<u32>(),
            resent_after in 0u32..60_000,
        ) {
            let mut kept = Kept::new(at_ms, &sent, bytes);
            prop_assert_eq!(kept.sent(sent.sequence, sent.source_sequence + later), sent);
            prop_assert_eq!(kept.sent(sent.sequence, sent.source_sequence.saturating_sub(later)), sent);
            prop_assert_eq!(kept.bytes(), bytes);
            let ms = |ms: u32| Duration::from_millis(ms.into());
            let resent_at = at_ms.wrapping_add(resent_after);
            prop_assert_eq!(kept.age(resent_at), ms(resent_after));
            prop_assert_eq!(kept.since_resent(resent_at), None);
            kept.note_resent(resent_at);
            prop_assert_eq!(kept.since_resent(resent_at.wrapping_add(30)), Some(ms(30)));
        }
    }

    #[test]
    fn a_clock_that_is_read_late_makes_nothing_old() {
        assert_eq!(Kept::new(10, &crate::egress::tests::sent(70_000), 100).age(9), Duration::ZERO);
    }
}
