//! The dependency descriptor (AV1 RTP specification, appendix A): what a frame needs and who needs it, whatever the codec, and where the payload
//! is encrypted end to end.
//!
//! Key frames bring a [`Structure`] of templates; each frame says which template it is of, and where it differs. So a descriptor is read with the
//! structure that is in force, which [`DependencyReader`] keeps for one encoding.

mod structure;

#[cfg(test)]
mod tests;

use super::Layer;
use super::bits::BitReader;
pub use structure::{Indication, References, Structure};

/// What a descriptor says of the frame that its packet is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameDependency {
    /// The packet begins the frame.
    pub starts_frame: bool,
    /// The packet ends the frame.
    pub ends_frame: bool,
    /// Counts the encoding's frames; each spatial layer of a picture is one.
    pub frame_number: u16,
    /// The frame's layer.
    pub layer: Layer,
    /// The frames it needs, as distances back from its number.
    pub references: References,
    /// The layers that can be decoded from this frame on, if the frame itself can be: see [`LayerSet`].
    pub switches: LayerSet,
    /// No other frame needs it, in any decode target.
    pub discardable: bool,
    /// The packet brings a new structure: with no references, a key frame.
    pub structure: bool,
    /// Width and height in pixels of the frame's spatial layer, if the structure tells.
    pub dimensions: Option<(u16, u16)>,
}

/// A set of layers, of spatial 0 to 3 and temporal 0 to 7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerSet(u32);

/// Why a descriptor cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DependencyError {
    /// It is shorter than it says, or contradicts itself.
    Malformed,
    /// Its template is of a structure that has not come.
    UnknownTemplate,
}

/// Reads the descriptors of one encoding, in the order of their arrival.
#[derive(Debug, Default)]
pub struct DependencyReader {
    structure: Option<Box<Structure>>,
    /// The frame that brought it.
    since: u16,
    active: u32,
}

impl DependencyReader {
    /// Reads one packet's descriptor. A structure in it is kept, unless it is older than the one in force.
    #[inline]
    pub fn read(&mut self, descriptor: &[u8]) -> Result<FrameDependency, DependencyError> {
        let read = read(descriptor, self.structure.as_deref())?;
        let frame_number = read.frame.frame_number;
        let newer = self.structure.is_none() || frame_number.wrapping_sub(self.since) < 1 << 15;
        if let Some(structure) = read.structure.filter(|_| newer) {
            self.active = structure.all_targets();
            self.structure = Some(structure);
            self.since = frame_number;
        }
        if let Some(active) = read.active_targets.filter(|_| newer) {
            self.active = active;
        }
        Ok(read.frame)
    }

    /// Whether a structure came.
    pub fn has_structure(&self) -> bool {
        self.structure.is_some()
    }

    /// The structure in force.
    pub fn structure(&self) -> Option<&Structure> {
        self.structure.as_deref()
    }

    /// The layers that the sender says it sends at present.
    pub fn active_layers(&self) -> LayerSet {
        self.structure.as_deref().map_or(LayerSet::default(), |structure| structure.layers(self.active))
    }
}

impl LayerSet {
    /// Adds a layer; one beyond spatial 3 or temporal 7 is left out.
    pub fn insert(&mut self, layer: Layer) {
        if layer.spatial < 4 && layer.temporal < 8 {
            self.0 |= 1 << (layer.spatial * 8 + layer.temporal);
        }
    }

    /// Whether the layer is in the set.
    pub fn contains(self, layer: Layer) -> bool {
        layer.spatial < 4 && layer.temporal < 8 && self.0 >> (layer.spatial * 8 + layer.temporal) & 1 != 0
    }

    /// Whether there is no layer in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The highest layer of the set, spatial before temporal, that `most` includes.
    pub fn highest_within(self, most: Layer) -> Option<Layer> {
        let temporal = if most.temporal >= 7 { 0xff } else { (1_u32 << (most.temporal + 1)) - 1 };
        let spatial = if most.spatial >= 3 { u32::MAX } else { (1_u32 << (8 * (most.spatial + 1))) - 1 };
        let within = self.0 & spatial & (temporal * 0x0101_0101);
        let bit = within.checked_ilog2()? as u8;
        Some(Layer { spatial: bit / 8, temporal: bit % 8 })
    }
}

/// A descriptor as it stands in a packet, its frame resolved.
struct Read {
    frame: FrameDependency,
    structure: Option<Box<Structure>>,
    active_targets: Option<u32>,
}

/// `dependency_descriptor()` of appendix A.8.2.
fn read(descriptor: &[u8], kept: Option<&Structure>) -> Result<Read, DependencyError> {
    const MALFORMED: DependencyError = DependencyError::Malformed;
    let mut bits = BitReader::new(descriptor);
    let (Some(starts_frame), Some(ends_frame), Some(template), Some(frame_number)) =
        (bits.bit(), bits.bit(), bits.number(6), bits.number(16))
    else {
        return Err(MALFORMED);
    };
    let mut flags = [false; 5];
    if descriptor.len() > MANDATORY_BYTES {
        for flag in &mut flags {
            *flag = bits.bit().ok_or(MALFORMED)?;
        }
    }
    let [has_structure, has_active, custom_dtis, custom_fdiffs, custom_chains] = flags;
    let brought =
        if has_structure { Some(Box::new(Structure::parse(&mut bits).ok_or(MALFORMED)?)) } else { None };
    let structure = brought.as_deref().or(kept).ok_or(DependencyError::UnknownTemplate)?;
    let active_targets =
        if has_active { Some(bits.number(structure.targets().into()).ok_or(MALFORMED)?) } else { None };
    let template = structure.template(template as u8).ok_or(DependencyError::UnknownTemplate)?;
    let indications = if custom_dtis {
        structure.read_indications(&mut bits).ok_or(MALFORMED)?
    } else {
        template.indications
    };
    let references =
        if custom_fdiffs { References::read(&mut bits).ok_or(MALFORMED)? } else { template.references };
    if custom_chains {
        // How far back each chain's last frame is: nothing of ours, since what is lost on the way is repaired.
        for _ in 0..structure.chains() {
            bits.number(8).ok_or(MALFORMED)?;
        }
    }
    let frame = FrameDependency {
        starts_frame,
        ends_frame,
        frame_number: frame_number as u16,
        layer: template.layer,
        references,
        switches: structure.switches(indications),
        discardable: structure.is_discardable(indications),
        structure: has_structure,
        dimensions: structure.resolution(template.layer.spatial),
    };
    Ok(Read { frame, structure: brought, active_targets })
}

/// Template and frame number; more comes with a structure or with what differs from the template.
const MANDATORY_BYTES: usize = 3;
