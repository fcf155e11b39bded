//! Running picture numbers for one slot, across changes of its source and over pictures that are left out.

use crate::codec::{PictureId, PictureIds, PictureNumbers};

/// Keeps PictureID and TL0PICIDX of VP8 (RFC 7741 section 4.2) and VP9 (RFC 9628 section 4.2) running on without a jump.
///
/// A VP8 receiver takes a missing number for a lost picture that others may need, so numbers close up over what is left out. VP9 counts its references
/// and its groups of pictures by these numbers: there they stay as far apart as they were, and only a change of the source is closed.
#[derive(Clone, Debug, Default)]
pub struct PictureMunger {
    /// The highest picture of the source taken into account, forwarded or skipped; extended.
    seen: Option<u64>,
    /// The highest number sent, extended.
    last: Option<u64>,
    /// Stretches of the source with one offset each, the latest last; [`STRETCHES`] at most.
    stretches: Vec<Stretch>,
    tl0_offset: u8,
    last_tl0: Option<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    /// First picture of the stretch, extended.
    from: u64,
    /// Subtracted from the source's numbers, wrapping.
    offset: u64,
}

impl PictureMunger {
    /// Begins another source with this packet: it gets the numbers after those sent last.
    pub fn switch_to(&mut self, numbers: &PictureNumbers) {
        if let Some(PictureId { value, .. }) = numbers.picture_id {
            // Far from zero, so that what came before has a number too.
            let first = CYCLE + u64::from(value);
            let next = self.last.map_or(first, |last| last + 1);
            self.seen = Some(first);
            self.stretches.clear();
            self.stretches.push(Stretch { from: 0, offset: first.wrapping_sub(next) });
        }
        if let (Some(last), Some(value)) = (self.last_tl0, numbers.tl0_pic_idx) {
            self.tl0_offset = last.wrapping_add(1).wrapping_sub(value);
        }
    }

    /// The numbers for a packet of the present source.
    #[inline]
    pub fn forward(&mut self, numbers: &PictureNumbers) -> PictureIds {
        let mut picture_id = 0;
        if let Some(id) = numbers.picture_id {
            let (source, mask) = self.extend(id);
            self.seen = self.seen.max(Some(source));
            let sent = source.wrapping_sub(self.offset_of(source));
            self.last = self.last.max(Some(sent));
            picture_id = sent as u16 & mask;
        }
        let tl0_pic_idx = numbers.tl0_pic_idx.unwrap_or(0).wrapping_add(self.tl0_offset);
        let ahead = |last: u8| tl0_pic_idx.wrapping_sub(last) < 128;
        if numbers.tl0_pic_idx.is_some() && self.last_tl0.is_none_or(ahead) {
            self.last_tl0 = Some(tl0_pic_idx);
        }
        PictureIds { picture_id, tl0_pic_idx }
    }

    /// A picture is left out on purpose: later ones close up. Told of every packet of it, counted once; one that comes behind its successors keeps
    /// its number.
    pub fn skip(&mut self, numbers: &PictureNumbers) {
        let Some(id) = numbers.picture_id else { return };
        let (source, _) = self.extend(id);
        if self.seen.is_none_or(|seen| source <= seen) {
            return;
        }
        self.seen = Some(source);
        let offset = self.offset_of(source).wrapping_add(1);
        if self.stretches.len() == STRETCHES {
            self.stretches.remove(0);
        }
        self.stretches.push(Stretch { from: source + 1, offset });
    }

    /// The source's number with the cycles counted, and the mask of its width.
    fn extend(&self, id: PictureId) -> (u64, u16) {
        let mask = if id.long { LONG } else { SHORT };
        let near = self.seen.unwrap_or(CYCLE);
        let (half, cycle) = (u64::from(mask / 2), u64::from(mask) + 1);
        let ahead = u64::from(id.value.wrapping_sub(near as u16) & mask);
        (if ahead <= half { near + ahead } else { near + ahead - cycle }, mask)
    }

    fn offset_of(&self, source: u64) -> u64 {
        let stretches = &self.stretches;
        let stretch = stretches.iter().rev().find(|stretch| stretch.from <= source).or(stretches.first());
        stretch.map_or(0, |stretch| stretch.offset)
    }
}

const LONG: u16 = 0x7fff;
const SHORT: u16 = 0x7f;
/// A multiple of both widths' cycles.
const CYCLE: u64 = 1 << 16;
/// How many pictures left out are remembered for packets that come late: two seconds at every second one of 30 per second.
const STRETCHES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(picture: u16, tl0: u8, long: bool) -> PictureNumbers {
        PictureNumbers {
            picture_id: Some(PictureId { value: picture, long }),
            tl0_pic_idx: Some(tl0),
            ..PictureNumbers::default()
        }
    }

    #[test]
    fn numbers_run_on_across_a_switch_and_a_late_packet_gets_its_own() {
        let mut munger = PictureMunger::default();
        munger.switch_to(&numbers(0x7fff, 255, true));
        assert_eq!(
            munger.forward(&numbers(0x7fff, 255, true)),
            PictureIds { picture_id: 0x7fff, tl0_pic_idx: 255 }
        );
        munger.switch_to(&numbers(500, 9, true));
        for (source, expected) in [(500, 0), (501, 1), (503, 3), (502, 2), (504, 4)] {
            let ids = munger.forward(&numbers(source, (source - 491) as u8, true));
            assert_eq!((ids.picture_id, u16::from(ids.tl0_pic_idx)), (expected, expected));
        }
        munger.switch_to(&numbers(7, 1, true));
        assert_eq!(munger.forward(&numbers(7, 1, true)).picture_id, 5, "after the highest, not the latest");
    }

    #[test]
    fn a_short_picture_id_wraps_at_its_own_width() {
        let mut munger = PictureMunger::default();
        munger.switch_to(&numbers(126, 0, false));
        munger.forward(&numbers(126, 0, false));
        munger.switch_to(&numbers(3, 0, false));
        let ids: Vec<_> =
            (3..6).map(|picture| munger.forward(&numbers(picture, 0, false)).picture_id).collect();
        assert_eq!(ids, [127, 0, 1]);
    }

    #[test]
    fn pictures_left_out_close_up_and_late_packets_keep_their_numbers() {
        let mut munger = PictureMunger::default();
        munger.switch_to(&numbers(0x7ffe, 0, true));
        let forward =
            |munger: &mut PictureMunger, picture| munger.forward(&numbers(picture, 0, true)).picture_id;
        assert_eq!(forward(&mut munger, 0x7ffe), 0x7ffe);
        // The next one is in two packets; the one after it is kept.
        munger.skip(&numbers(0x7fff, 0, true));
        munger.skip(&numbers(0x7fff, 0, true));
        assert_eq!(forward(&mut munger, 0), 0x7fff);
        assert_eq!(forward(&mut munger, 0x7ffe), 0x7ffe, "late");
        // Number 2 is missing when 3 is left out; when it comes it has its place.
        munger.skip(&numbers(3, 0, true));
        assert_eq!(forward(&mut munger, 4), 2);
        assert_eq!(forward(&mut munger, 2), 1);
        munger.skip(&numbers(1, 0, true));
        assert_eq!(forward(&mut munger, 5), 3, "one left out too late changes nothing");
    }
}
