//! Continuous VP8 picture numbers over switches of the source.

use std::collections::VecDeque;

use crate::codec::{Vp8Descriptor, Vp8Ids};

/// Renumbers pictures so that a slot's picture ids and TL0PICIDX count on over switches and pictures dropped on purpose.
#[derive(Clone, Debug, Default)]
pub struct Vp8Munger {
    /// Extended numbers, of 15 and 8 bits on the wire; the highest given out.
    picture: Option<u64>,
    tl0: Option<u64>,
    source: Option<Source>,
    /// Extended source pictures dropped on purpose, ascending, at most [`MAX_DROPPED`].
    dropped: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    /// The highest of the source, extended, to which later ones are near.
    picture: u64,
    tl0: u64,
    /// Output = source + offset, modulo 2^64.
    picture_offset: u64,
    tl0_offset: u64,
}

impl Vp8Munger {
    /// Starts a new source at this packet, the first of a key frame: its numbers follow the highest given out.
    pub fn switch_to(&mut self, descriptor: &Vp8Descriptor) {
        self.dropped.clear();
        let picture = START + descriptor.picture_id.map_or(0, |id| u64::from(id.value));
        let tl0 = START + descriptor.tl0_pic_idx.map_or(0, u64::from);
        self.source = Some(Source {
            picture,
            tl0,
            // The first source keeps its own numbers.
            picture_offset: self.picture.map_or(0, |last| last.wrapping_add(1).wrapping_sub(picture)),
            tl0_offset: self.tl0.map_or(0, |last| last.wrapping_add(1).wrapping_sub(tl0)),
        });
    }

    /// The numbers of a packet, late ones included; `None` before the first switch, and for a picture dropped on purpose.
    #[inline]
    pub fn forward(&mut self, descriptor: &Vp8Descriptor) -> Option<Vp8Ids> {
        let source = self.source.as_mut()?;
        let picture = extended_picture(source.picture, descriptor);
        let tl0 = descriptor.tl0_pic_idx.map_or(source.tl0, |idx| near(source.tl0, u64::from(idx), 8));
        source.picture = source.picture.max(picture);
        source.tl0 = source.tl0.max(tl0);
        let dropped = self.dropped.partition_point(|&dropped| dropped < picture);
        if self.dropped.get(dropped) == Some(&picture) {
            return None;
        }
        let picture = picture.wrapping_add(source.picture_offset).wrapping_sub(dropped as u64);
        let tl0 = tl0.wrapping_add(source.tl0_offset);
        self.picture = self.picture.max(Some(picture));
        self.tl0 = self.tl0.max(Some(tl0));
        Some(Vp8Ids { picture_id: (picture & 0x7fff) as u16, tl0_pic_idx: tl0 as u8 })
    }

    /// Drops a whole picture on purpose, before any later one is forwarded: the pictures after it move up. Not for the lowest temporal layer,
    /// which all others stand on.
    pub fn drop_picture(&mut self, descriptor: &Vp8Descriptor) {
        let Some(source) = self.source.as_mut() else { return };
        let picture = extended_picture(source.picture, descriptor);
        if picture < source.picture || self.dropped.contains(&picture) {
            return;
        }
        source.picture = picture;
        // Full: the oldest is folded into the offset; what comes late from before it is misnumbered by one.
        if self.dropped.len() >= MAX_DROPPED {
            self.dropped.pop_front();
            source.picture_offset = source.picture_offset.wrapping_sub(1);
        }
        self.dropped.push_back(picture);
    }
}

#[inline]
fn extended_picture(highest: u64, descriptor: &Vp8Descriptor) -> u64 {
    match descriptor.picture_id {
        Some(id) => near(highest, u64::from(id.value), if id.long { 15 } else { 7 }),
        None => highest,
    }
}

/// The number nearest to `highest` whose lower `bits` are `value`.
#[inline]
fn near(highest: u64, value: u64, bits: u32) -> u64 {
    let cycle = 1_u64 << bits;
    let ahead = value.wrapping_sub(highest) & (cycle - 1);
    if ahead < cycle / 2 {
        highest.wrapping_add(ahead)
    } else {
        highest.wrapping_add(ahead).wrapping_sub(cycle)
    }
}

/// A multiple of every cycle, so that what is late at the very start still has a number.
const START: u64 = 1 << 32;
const MAX_DROPPED: usize = 64;
