//! What the frames of a coded video sequence are like: decode targets, templates, sizes.

use super::{BitReader, Layer, LayerSet};

/// A template dependency structure (appendix A.8.2), good for all frames until the next one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Structure {
    /// The id of the first template.
    offset: u8,
    templates: Vec<Template>,
    /// The layer of each decode target: what it needs up to.
    targets: Vec<Layer>,
    chains: u8,
    /// Width and height by spatial layer; empty when not told.
    resolutions: Vec<(u16, u16)>,
}

/// What frames of one sort have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Template {
    pub(super) layer: Layer,
    /// Two bits for each decode target, the first one lowest.
    pub(super) indications: u64,
    pub(super) references: References,
}

/// What a frame is to a decode target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indication {
    /// Not part of it.
    NotPresent,
    /// Part of it, and no frame of it needs this one.
    Discardable,
    /// If this frame can be decoded, so can all later ones of the target.
    Switch,
    /// Part of it.
    Required,
}

/// The frames that a frame needs, as distances back from its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct References {
    /// Bit n stands for the distance n + 1.
    near: u64,
    /// There is one further back than 64.
    far: bool,
}

impl References {
    /// None: the frame needs no other.
    pub const NONE: Self = Self { near: 0, far: false };

    /// Whether the frame needs no other.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether all of them are among the frames seen: bit n for the distance n + 1. One further back than 64 never is.
    #[inline]
    pub fn are_among(self, seen: u64) -> bool {
        !self.far && self.near & !seen == 0
    }

    /// The distances up to 64, ascending.
    pub fn distances(self) -> impl Iterator<Item = u16> {
        (0..64).filter(move |at| self.near >> at & 1 != 0).map(|at| at + 1)
    }

    fn insert(&mut self, distance: u32) {
        match distance {
            1..=64 => self.near |= 1 << (distance - 1),
            _ => self.far = true,
        }
    }

    /// `frame_fdiffs()`.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let mut references = Self::NONE;
        loop {
            let size = bits.number(2)?;
            if size == 0 {
                return Some(references);
            }
            references.insert(bits.number(4 * size)? + 1);
        }
    }

    /// `template_fdiffs()` of one template.
    fn read_of_template(bits: &mut BitReader<'_>) -> Option<Self> {
        let mut references = Self::NONE;
        while bits.bit()? {
            references.insert(bits.number(4)? + 1);
        }
        Some(references)
    }
}

impl FromIterator<u16> for References {
    /// By their distances, 1 to 4096.
    fn from_iter<I: IntoIterator<Item = u16>>(distances: I) -> Self {
        let mut references = Self::NONE;
        distances.into_iter().for_each(|distance| references.insert(distance.into()));
        references
    }
}

impl Structure {
    pub(super) fn parse(bits: &mut BitReader<'_>) -> Option<Self> {
        let offset = bits.number(6)? as u8;
        let targets = bits.number(5)? as u8 + 1;
        let mut templates = read_layers(bits)?;
        let mut structure = Self {
            offset,
            templates: Vec::new(),
            targets: vec![Layer::BASE; usize::from(targets)],
            chains: 0,
            resolutions: Vec::new(),
        };
        for template in &mut templates {
            template.indications = structure.read_indications(bits)?;
        }
        for template in &mut templates {
            template.references = References::read_of_template(bits)?;
        }
        structure.chains = bits.below(targets + 1)?;
        if structure.chains > 0 {
            for _ in 0..targets {
                bits.below(structure.chains)?;
            }
            for _ in 0..templates.len() * usize::from(structure.chains) {
                bits.number(4)?;
            }
        }
        for (at, target) in structure.targets.iter_mut().enumerate() {
            for template in templates.iter().filter(|template| of(template.indications, at) != 0) {
                target.spatial = target.spatial.max(template.layer.spatial);
                target.temporal = target.temporal.max(template.layer.temporal);
            }
        }
        if bits.bit()? {
            let highest = templates.iter().map(|template| template.layer.spatial).max()?;
            for _ in 0..=highest {
                let (width, height) = (bits.number(16)?, bits.number(16)?);
                let size = |less: u32| u16::try_from(less + 1).unwrap_or(u16::MAX);
                structure.resolutions.push((size(width), size(height)));
            }
        }
        structure.templates = templates;
        Some(structure)
    }

    /// How many decode targets there are, 1 to 32.
    pub fn targets(&self) -> u8 {
        self.targets.len() as u8
    }

    /// How many chains there are, at most one for each decode target.
    pub fn chains(&self) -> u8 {
        self.chains
    }

    /// Width and height in pixels of a spatial layer, if told.
    pub fn resolution(&self, spatial: u8) -> Option<(u16, u16)> {
        self.resolutions.get(usize::from(spatial)).copied()
    }

    /// The layers of the decode targets in a bit mask, the first target lowest.
    pub fn layers(&self, targets: u32) -> LayerSet {
        let mut layers = LayerSet::default();
        for (at, &layer) in self.targets.iter().enumerate() {
            if targets >> at & 1 != 0 {
                layers.insert(layer);
            }
        }
        layers
    }

    pub(super) fn all_targets(&self) -> u32 {
        u32::MAX >> 32_usize.saturating_sub(self.targets.len())
    }

    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(usize::from(id.wrapping_sub(self.offset) & 0x3f))
    }

    pub(super) fn read_indications(&self, bits: &mut BitReader<'_>) -> Option<u64> {
        let mut indications = 0;
        for at in 0..self.targets.len() {
            indications |= u64::from(bits.number(2)?) << (2 * at);
        }
        Some(indications)
    }

    /// The layers of the targets that may be begun at such a frame.
    pub(super) fn switches(&self, indications: u64) -> LayerSet {
        let mut layers = LayerSet::default();
        for (at, &layer) in self.targets.iter().enumerate() {
            if of(indications, at) == Indication::Switch as u64 {
                layers.insert(layer);
            }
        }
        layers
    }

    pub(super) fn is_discardable(&self, indications: u64) -> bool {
        (0..self.targets.len()).all(|at| of(indications, at) <= Indication::Discardable as u64)
    }
}

/// The indication for one decode target.
fn of(indications: u64, target: usize) -> u64 {
    indications >> (2 * target) & 3
}

/// `template_layers()`: at most 64 templates, spatial 0 to 3, temporal 0 to 7.
fn read_layers(bits: &mut BitReader<'_>) -> Option<Vec<Template>> {
    let mut templates = Vec::new();
    let mut layer = Layer::BASE;
    while templates.len() < 64 {
        templates.push(Template { layer, ..Template::default() });
        match bits.number(2)? {
            0 => {}
            1 => layer.temporal += 1,
            2 => layer = Layer { spatial: layer.spatial + 1, temporal: 0 },
            _ => return Some(templates),
        }
        if layer.spatial > 3 || layer.temporal > 7 {
            return None;
        }
    }
    None
}
