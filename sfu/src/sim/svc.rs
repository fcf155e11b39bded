//! Simulated video with layers: real descriptors of VP8, VP9 and AV1, and in each packet what its frame needs, for the viewer's end to check.
//!
//! All codecs have the same pictures. Temporal layers go `0 2 1 2` (or `0 1`). In every second round the pictures above the base need each other over
//! rounds; in the others they do not, and say so: there a viewer may go up. Now and then an upper spatial layer needs no other picture.

use crate::codec::{Codec, Layer};
use crate::id::{Mid, Ssrc};
use crate::rtp::{EgressHeader, write_header};

/// How a simulated client's video is layered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheme {
    /// VP8 has temporal layers only.
    pub codec: Codec,
    /// How many spatial layers, 1 to 3.
    pub spatial: u8,
    /// How many temporal layers, 1 to 3.
    pub temporal: u8,
    /// Upper spatial layers need the lower ones in key pictures only.
    pub key_mode: bool,
    /// Packets carry the dependency descriptor.
    pub dependency: bool,
}

/// Makes one encoding's frames.
#[derive(Clone, Debug)]
pub struct LayeredSource {
    scheme: Scheme,
    /// Height of the largest spatial layer; each lower one has half of it.
    height: u16,
    /// The next picture, and the one that was a key picture.
    picture: u32,
    key: u32,
    /// By spatial and temporal layer, the last frame since the key picture.
    last: [[Option<u32>; 3]; 3],
    tl0_pic_idx: u8,
}

/// One frame: a spatial layer of a picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayeredFrame {
    /// What is in its packets.
    pub mark: LayerMark,
    /// The picture's number.
    pub picture: u32,
    /// It is the last of its picture.
    pub ends_picture: bool,
    switching: Switching,
    tl0_pic_idx: u8,
}

/// What a packet of layered video says of its frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerMark {
    /// The frame's number: that of the picture, and within it the spatial layer.
    pub frame: u32,
    /// Its layer.
    pub layer: Layer,
    /// The packet's place in the frame, from 0, and of how many.
    pub part: u8,
    /// Of how many.
    pub parts: u8,
    /// It belongs to a key picture.
    pub key: bool,
    /// The frames it needs.
    pub references: Vec<u32>,
}

/// What lets a viewer up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Switching {
    /// No frame above the base reaches over the beginning of this round.
    fresh_round: bool,
    /// The frame needs the base layer only.
    sync: bool,
    /// The frame needs no other picture.
    fresh_spatial: bool,
}

impl LayeredSource {
    /// A source whose pictures count from `first`; the first is to be a key picture.
    pub fn new(scheme: Scheme, height: u16, first: u32) -> Self {
        Self {
            scheme,
            height,
            picture: first,
            key: first,
            last: Default::default(),
            tl0_pic_idx: first as u8,
        }
    }

    /// The next picture's frames, from the lowest spatial layer up.
    pub fn picture(&mut self, key: bool, parts: u8) -> Vec<LayeredFrame> {
        if key {
            self.key = self.picture;
            self.last = Default::default();
        }
        let since = self.picture - self.key;
        let pattern: &[u8] = match self.scheme.temporal {
            1 => &[0],
            2 => &[0, 1],
            _ => &[0, 2, 1, 2],
        };
        let (round, place) = (since as usize / pattern.len(), since as usize % pattern.len());
        let temporal = pattern[place];
        let fresh_round = round.is_multiple_of(2);
        if temporal == 0 {
            self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        }
        let mut frames: Vec<LayeredFrame> = Vec::new();
        for spatial in 0..self.scheme.spatial {
            let last = &mut self.last[usize::from(spatial)];
            let fresh_spatial = spatial > 0 && place == 0 && (key || round % 8 == 4);
            let mut references = Vec::new();
            if !fresh_spatial {
                // The newest below its own temporal layer, or of it for the base.
                references.extend(last.iter().take(usize::from(temporal).max(1)).flatten().max());
                if temporal > 0 && !fresh_round {
                    references.extend(last[usize::from(temporal)]);
                }
            }
            let sync = references.iter().all(|&reference| Some(reference) == last[0]);
            if spatial > 0 && (fresh_spatial || !self.scheme.key_mode) {
                references.extend(frames.last().map(|below| below.mark.frame));
            }
            references.sort_unstable();
            references.dedup();
            let frame = self.picture * u32::from(self.scheme.spatial) + u32::from(spatial);
            if fresh_spatial {
                *last = Default::default();
            }
            last[usize::from(temporal)] = Some(frame);
            let layer = Layer { spatial, temporal };
            frames.push(LayeredFrame {
                mark: LayerMark { frame, layer, part: 0, parts, key, references },
                picture: self.picture,
                ends_picture: spatial + 1 == self.scheme.spatial,
                switching: Switching { fresh_round, sync, fresh_spatial },
                tl0_pic_idx: self.tl0_pic_idx,
            });
        }
        self.picture += 1;
        frames
    }

    /// The payload of one part of a frame, in `size` bytes or a few more.
    pub fn payload(&self, frame: &LayeredFrame, part: u8, size: usize) -> Vec<u8> {
        let mark = &frame.mark;
        let (first, last) = (part == 0, part + 1 == mark.parts);
        let begins_key = mark.key && mark.layer.spatial == 0;
        let id = (0x8000 | (frame.picture & 0x7fff) as u16).to_be_bytes();
        let mut payload = Vec::new();
        match self.scheme.codec {
            Codec::Vp9 => {
                let inter = !begins_key && !frame.switching.fresh_spatial;
                let sizes = begins_key && first;
                payload.push(0xa0 | bit(inter, 6) | bit(first, 3) | bit(last, 2) | bit(sizes, 1));
                payload.extend(id);
                let up = frame.switching.fresh_round && mark.layer.temporal == 0;
                let from_below =
                    mark.layer.spatial > 0 && (frame.switching.fresh_spatial || !self.scheme.key_mode);
                payload.push(
                    mark.layer.temporal << 5 | bit(up, 4) | mark.layer.spatial << 1 | bit(from_below, 0),
                );
                payload.push(frame.tl0_pic_idx);
                if sizes {
                    payload.push((self.scheme.spatial - 1) << 5 | 0x10);
                    for spatial in 0..self.scheme.spatial {
                        let height = self.height_of(spatial);
                        payload.extend((height / 9 * 16).to_be_bytes());
                        payload.extend(height.to_be_bytes());
                    }
                }
            }
            Codec::Vp8 => {
                payload.extend([0x80 | bit(first, 4), 0xe0]);
                payload.extend(id);
                let sync = mark.layer.temporal > 0 && frame.switching.sync;
                payload.extend([frame.tl0_pic_idx, mark.layer.temporal << 6 | bit(sync, 5)]);
                if first {
                    payload.extend([if mark.key { 0x10 } else { 0x11 }, 0x02, 0x00]);
                    if mark.key {
                        payload.extend([0x9d, 0x01, 0x2a]);
                        payload.extend((self.height / 9 * 16).to_le_bytes());
                        payload.extend(self.height.to_le_bytes());
                    }
                }
            }
            // A descriptor is all there is: the payload may as well be encrypted.
            _ => payload.push(0),
        }
        LayerMark { part, ..mark.clone() }.write(&mut payload);
        payload.resize(payload.len().max(size), 0xa5);
        payload
    }

    /// The dependency descriptor of one part of a frame; empty where the scheme has none.
    pub fn descriptor(&self, frame: &LayeredFrame, part: u8) -> Vec<u8> {
        let Scheme { spatial, temporal, dependency, .. } = self.scheme;
        if !dependency {
            return Vec::new();
        }
        let mark = &frame.mark;
        let layers =
            || (0..spatial).flat_map(|s| (0..temporal).map(move |t| Layer { spatial: s, temporal: t }));
        let template = mark.layer.spatial * temporal + mark.layer.temporal;
        let mut bits = BitWriter::default();
        bits.put(u32::from(part == 0), 1);
        bits.put(u32::from(part + 1 == mark.parts), 1);
        bits.put(template.into(), 6);
        bits.put(mark.frame & 0xffff, 16);
        let structure = mark.key && mark.layer.spatial == 0 && part == 0;
        bits.put(u32::from(structure), 1);
        // Indications and references of its own, always.
        bits.put(0b0110, 4);
        if structure {
            bits.put(0, 6);
            bits.put(u32::from(spatial * temporal) - 1, 5);
            for layer in layers().skip(1) {
                bits.put(if layer.temporal == 0 { 2 } else { 1 }, 2);
            }
            bits.put(3, 2);
            for of in layers() {
                layers().for_each(|target| bits.put(if target.includes(of) { 3 } else { 0 }, 2));
            }
            layers().for_each(|_| bits.put(0, 1));
            // No chains: ns(targets + 1) of 0.
            let limit = u32::from(spatial * temporal) + 1;
            bits.put(0, limit.ilog2());
            bits.put(1, 1);
            for spatial in 0..spatial {
                let height = self.height_of(spatial);
                bits.put(u32::from(height / 9 * 16) - 1, 16);
                bits.put(u32::from(height) - 1, 16);
            }
        }
        for target in layers() {
            let lets_up = frame.switching.fresh_round
                && match mark.layer.temporal {
                    0 => {
                        target.spatial == mark.layer.spatial
                            || mark.key && target.spatial >= mark.layer.spatial
                    }
                    own => target == Layer { temporal: own, ..mark.layer },
                };
            let present = target.includes(mark.layer);
            bits.put(if present && lets_up { 2 } else { 3 * u32::from(present) }, 2);
        }
        for reference in &mark.references {
            bits.put(2, 2);
            bits.put(mark.frame - reference - 1, 8);
        }
        bits.put(0, 2);
        bits.bytes
    }

    fn height_of(&self, spatial: u8) -> u16 {
        self.height >> (self.scheme.spatial - 1 - spatial)
    }
}

impl LayerMark {
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend(MAGIC);
        payload.extend(self.frame.to_be_bytes());
        payload.extend([self.layer.spatial, self.layer.temporal, self.part, self.parts, u8::from(self.key)]);
        payload.push(self.references.len() as u8);
        self.references.iter().for_each(|reference| payload.extend(reference.to_be_bytes()));
    }

    /// Finds the mark in a payload, whatever became of its descriptor's numbers.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let at = payload.windows(MAGIC.len()).take(SEARCH).position(|window| window == MAGIC)?;
        let (head, rest) = payload.get(at + MAGIC.len()..)?.split_first_chunk::<10>()?;
        let [f0, f1, f2, f3, spatial, temporal, part, parts, key, count] = *head;
        let references = rest.as_chunks::<4>().0.get(..usize::from(count))?;
        Some(Self {
            frame: u32::from_be_bytes([f0, f1, f2, f3]),
            layer: Layer { spatial, temporal },
            part,
            parts,
            key: key != 0,
            references: references.iter().copied().map(u32::from_be_bytes).collect(),
        })
    }
}

/// What is in the header of one packet of layered video, beyond what all packets of a stream have.
pub(super) struct PacketHeader<'a> {
    pub(super) marker: bool,
    pub(super) timestamp: u32,
    pub(super) descriptor: &'a [u8],
    pub(super) frame: u32,
}

impl PacketHeader<'_> {
    /// With the m-line, and the dependency descriptor if there is one.
    pub(super) fn write(&self, payload_type: u8, ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let header = EgressHeader {
            padding: false,
            payload_type,
            marker: self.marker,
            sequence,
            timestamp: self.timestamp,
            ssrc: Ssrc(ssrc),
            mid: Mid::new(b"0").ok().map(|mid| (1, mid)),
            transport_cc: None,
            audio_level: None,
            dependency: (!self.descriptor.is_empty()).then_some((
                DEPENDENCY,
                self.descriptor,
                self.frame as u16,
            )),
            playout_delay: None,
        };
        write_header(&mut packet, &header);
        packet.extend_from_slice(payload);
        packet
    }
}

/// A plain client's offer, for layered video.
pub(super) fn offer(sdp: &str, scheme: Scheme) -> String {
    let extension = if scheme.dependency {
        format!(
            "a=extmap:{DEPENDENCY} \
             https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension\r\n"
        )
    } else {
        String::new()
    };
    sdp.replace("VP8", scheme.codec.name())
        .replace("t=0 0\r\n", "t=0 0\r\na=extmap-allow-mixed\r\n")
        .replace("a=rtcp-mux\r\n", &format!("a=rtcp-mux\r\n{extension}"))
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: usize,
}

impl BitWriter {
    /// The lowest `count` bits of a number, the highest of them first.
    fn put(&mut self, number: u32, count: u32) {
        for at in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let place = 7 - self.used % 8;
            if let Some(byte) = self.bytes.last_mut() {
                *byte |= ((number >> at & 1) as u8) << place;
            }
            self.used += 1;
        }
    }
}

fn bit(set: bool, at: u8) -> u8 {
    u8::from(set) << at
}

const DEPENDENCY: u8 = 7;
const MAGIC: [u8; 4] = *b"LAYR";
/// Descriptors are never longer.
const SEARCH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PayloadInfo;
    use crate::codec::dependency::DependencyReader;

    #[test]
    fn descriptors_are_what_the_core_reads() {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
            let spatial = if codec == Codec::Vp8 { 1 } else { 3 };
            let scheme = Scheme { codec, spatial, temporal: 3, key_mode: false, dependency: true };
            let mut source = LayeredSource::new(scheme, 720, 0);
            let mut reader = DependencyReader::default();
            for picture in 0..40 {
                for frame in source.picture(picture == 0 || picture == 23, 2) {
                    for part in 0..2 {
                        let payload = source.payload(&frame, part, 300);
                        let mark = LayerMark { part, ..frame.mark.clone() };
                        assert_eq!(LayerMark::read(&payload), Some(mark.clone()));
                        let read = reader.read(&source.descriptor(&frame, part)).unwrap();
                        assert_eq!((read.layer, read.starts_frame), (mark.layer, part == 0));
                        assert_eq!(u32::from(read.frame_number), mark.frame);
                        let back = read.references.distances().map(|back| mark.frame - u32::from(back));
                        let mut references: Vec<u32> = back.collect();
                        references.reverse();
                        assert_eq!(references, mark.references);
                        assert_eq!(
                            read.dimensions,
                            Some((
                                1280 >> (spatial - 1 - mark.layer.spatial),
                                720 >> (spatial - 1 - mark.layer.spatial)
                            ))
                        );
                        let info = PayloadInfo::inspect(codec, &payload);
                        let begins = mark.key && part == 0 && mark.layer.spatial == 0;
                        assert_eq!(info.with_dependency(read).starts_keyframe, begins);
                        if codec != Codec::Av1 {
                            assert_eq!((info.layer, info.starts_keyframe), (mark.layer, begins));
                        }
                    }
                }
            }
        }
    }
}
