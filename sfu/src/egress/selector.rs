//! Which encoding and which of its layers a slot shows, and when they may change.

use crate::codec::{FrameDependency, Layer, PayloadInfo};
use crate::egress::SourcePacket;

/// An encoding and the layers up to one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// Index of the encoding.
    pub encoding: u8,
    /// Everything up to this layer.
    pub layer: Layer,
}

/// Knows what is shown (`current`) and what should be (`target`), and moves the one to the other where the codec allows it:
///
/// - to another encoding, and up to any layer, with a key frame;
/// - to a lower layer with the next picture;
/// - to a higher one at a frame that says so: VP8's Y bit, VP9's U bit or a frame not predicted from other pictures, a switch indication in the
///   dependency descriptor at a frame whose references went out.
///
/// Layers below the current one are always sent along, also where upper frames do not need them, so that going down waits for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerSelector {
    current: Option<Target>,
    target: Option<Target>,
    /// Every packet can be decoded by itself: no key frame is waited for.
    independent: bool,
    /// The last changes of the layer, the newest first: what comes late is judged by them.
    changes: [Change; CHANGES],
    /// The source's highest number and its timestamp.
    highest: u64,
    timestamp: u32,
    frames: SentFrames,
    /// The highest temporal layer that all frames of the present picture allow so far, by their dependency descriptors.
    rising: Option<u8>,
}

/// A layer and where it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Change {
    /// The source's number.
    from: u64,
    timestamp: u32,
    layer: Layer,
}

/// What to do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// It belongs to what is shown.
    Forward,
    /// It begins what is shown from now on.
    Switch,
    /// It is of the encoding shown, but of a layer that is left out: numbers close up over it.
    Skip,
    /// It belongs to something else.
    Drop,
}

impl LayerSelector {
    /// For sound: the only encoding, from any packet on.
    pub fn passthrough() -> Self {
        let target = Some(Target { encoding: 0, layer: Layer::ALL });
        Self { target, independent: true, ..Self::default() }
    }

    /// Sets what should be shown; whether that is news. With `None` what flows stops at once.
    pub fn set_target(&mut self, target: Option<Target>) -> bool {
        let news = self.target != target;
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
        news
    }

    /// What should be shown.
    pub fn target(&self) -> Option<Target> {
        self.target
    }

    /// What is shown.
    pub fn current(&self) -> Option<Target> {
        self.current
    }

    /// Decides about a packet of an encoding.
    #[inline]
    pub fn select(&mut self, packet: &SourcePacket) -> Selection {
        let info = &packet.info;
        let Some(target) = self.target else { return Selection::Drop };
        let Some(mut current) = self.current.filter(|current| current.encoding == packet.encoding) else {
            if target.encoding != packet.encoding || !(info.starts_keyframe || self.independent) {
                return Selection::Drop;
            }
            self.begin(target, packet);
            return Selection::Switch;
        };
        // What comes late moves nothing: its successors were judged without it.
        if packet.sequence > self.highest {
            let layer = if target.encoding == current.encoding {
                self.moved(current.layer, target.layer, packet)
            } else {
                current.layer
            };
            if layer != current.layer {
                self.changes.rotate_right(1);
                self.changes[0] = Change { from: packet.sequence, timestamp: packet.timestamp, layer };
                current.layer = layer;
                self.current = Some(current);
            }
            (self.highest, self.timestamp) = (packet.sequence, packet.timestamp);
        }
        if !self.layer_at(packet).includes(info.layer) {
            return Selection::Skip;
        }
        if let Some(frame) = &info.dependency {
            self.frames.insert(frame.frame_number);
        }
        Selection::Forward
    }

    /// Whether a packet that is forwarded is the last of its picture as this viewer gets it.
    #[inline]
    pub fn ends_picture(&self, packet: &SourcePacket) -> bool {
        let info = &packet.info;
        packet.marker || info.ends_frame && self.layer_at(packet).spatial == info.layer.spatial
    }

    /// The encoding of which a key frame is needed to get to the target.
    pub fn wanted_keyframe(&self) -> Option<u8> {
        let target = self.target.filter(|_| !self.independent)?;
        let reached = |current: Target| {
            current.encoding == target.encoding && current.layer.spatial >= target.layer.spatial
        };
        (!self.current.is_some_and(reached)).then_some(target.encoding)
    }

    /// The encoding that a viewer who cannot decode needs a key frame of: what they are to see, or what they see.
    pub fn shown_or_wanted(&self) -> Option<u8> {
        self.wanted_keyframe().or(self.current.map(|current| current.encoding))
    }

    fn begin(&mut self, target: Target, packet: &SourcePacket) {
        self.current = Some(target);
        let begin = Change { from: packet.sequence, timestamp: packet.timestamp, layer: target.layer };
        self.changes = [begin; CHANGES];
        (self.highest, self.timestamp) = (packet.sequence, packet.timestamp);
        self.frames = SentFrames::default();
        if let Some(frame) = &packet.info.dependency {
            self.frames.insert(frame.frame_number);
        }
    }

    /// The layer that was shown when a packet was due.
    #[inline]
    fn layer_at(&self, packet: &SourcePacket) -> Layer {
        let at = self.changes.iter().position(|change| change.from <= packet.sequence);
        let (later, rest) = self.changes.split_at(at.unwrap_or(CHANGES - 1));
        let layer = rest.first().map_or(Layer::BASE, |change| change.layer);
        // A picture whose first packets come behind its others was judged by these.
        let same = later.iter().filter(|change| change.timestamp == packet.timestamp);
        same.fold(layer, |layer, change| layer.common(change.layer))
    }

    /// The layer from this packet on, which follows all others of its encoding.
    #[inline]
    fn moved(&mut self, current: Layer, target: Layer, packet: &SourcePacket) -> Layer {
        let info = &packet.info;
        if current == target || info.starts_keyframe {
            return target;
        }
        let layer = if packet.timestamp == self.timestamp {
            current
        } else {
            self.rising = None;
            current.common(target)
        };
        if layer == target || !info.starts_frame {
            return layer;
        }
        match &info.dependency {
            Some(frame) => self.switched(layer, target, frame),
            None => risen(layer, target, info),
        }
    }

    /// One step up by what the dependency descriptor says. Each of the frames shown of a picture has to allow more pictures per second: what an upper frame
    /// allows need not hold for a lower one that is sent along.
    fn switched(&mut self, mut layer: Layer, target: Layer, frame: &FrameDependency) -> Layer {
        let spatial = frame.layer.spatial;
        let decodable = frame.references.are_among(self.frames.before(frame.frame_number));
        let highest = |most| {
            let switch = frame.switches.highest_within(Layer { spatial, temporal: most });
            switch.filter(|switch| decodable && switch.spatial == spatial).map(|switch| switch.temporal)
        };
        let allowed = highest(target.temporal);
        self.rising = if spatial == 0 { allowed } else { self.rising.and(allowed).min(self.rising) };
        if let Some(allowed) = allowed
            && spatial == layer.spatial + 1
            && spatial <= target.spatial
            && frame.layer.temporal <= layer.temporal
        {
            layer.spatial = spatial;
            // There may be no more than this at all.
            if highest(Layer::ALL.temporal) != Some(allowed) {
                layer.temporal = layer.temporal.min(allowed);
            }
        }
        // A frame that is let in by itself lets in none below it.
        if spatial == layer.spatial && (spatial == 0 || layer.includes(frame.layer)) {
            layer.temporal = layer.temporal.max(self.rising.unwrap_or(0));
        }
        layer
    }
}

/// One step up by what VP8 and VP9 say themselves.
fn risen(mut layer: Layer, target: Layer, info: &PayloadInfo) -> Layer {
    let frame = info.layer;
    // A frame of an upper temporal layer says nothing about the frames of the base.
    if info.rise.own_spatial
        && frame.temporal == 0
        && frame.spatial == layer.spatial + 1
        && frame.spatial <= target.spatial
    {
        layer.spatial = frame.spatial;
    }
    if info.rise.above_temporal && layer.includes(frame) {
        layer.temporal = layer.temporal.max(target.temporal);
    }
    if info.rise.own_temporal && frame.temporal == layer.temporal + 1 && frame.temporal <= target.temporal {
        layer.temporal = frame.temporal;
    }
    layer
}

/// Changes remembered. A step up to the highest of three spatial layers is two, and nothing is late for more than a few pictures.
const CHANGES: usize = 6;

/// The last frames sent, by their numbers in the dependency descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct SentFrames {
    newest: Option<u16>,
    /// Bit n stands for the frame n + 1 before the newest.
    earlier: u64,
}

impl SentFrames {
    fn insert(&mut self, frame: u16) {
        let Some(newest) = self.newest else {
            self.newest = Some(frame);
            return;
        };
        if frame.wrapping_sub(newest) < 1 << 15 {
            self.earlier = self.before(frame);
            self.newest = Some(frame);
        } else if let Some(bit) = 1_u64.checked_shl(u32::from(newest.wrapping_sub(frame)) - 1) {
            self.earlier |= bit;
        }
    }

    /// Which were sent of the 64 before `frame`: bit n stands for the frame n + 1 before it.
    fn before(&self, frame: u16) -> u64 {
        let Some(newest) = self.newest else { return 0 };
        let ahead = u32::from(frame.wrapping_sub(newest));
        if ahead == 0 {
            self.earlier
        } else if ahead < 1 << 15 {
            self.earlier.checked_shl(ahead).unwrap_or(0) | 1_u64.checked_shl(ahead - 1).unwrap_or(0)
        } else {
            self.earlier.checked_shr((1 << 16) - ahead).unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests;
