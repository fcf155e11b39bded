//! A place among the layers of one encoding.

/// A spatial and a temporal layer, or everything up to them. Layer 0.0 is the base, which needs no other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Layer {
    /// Picture size: 0 is the smallest; 7 is the most that a descriptor can say.
    pub spatial: u8,
    /// Pictures per second: 0 is the slowest; 7 is the most that a descriptor can say.
    pub temporal: u8,
}

impl Layer {
    /// Alone in a stream without layers.
    pub const BASE: Self = Self { spatial: 0, temporal: 0 };
    /// All layers there can be.
    pub const ALL: Self = Self { spatial: 7, temporal: 7 };

    /// Whether who gets everything up to `self` gets `other`.
    #[inline]
    pub fn includes(self, other: Self) -> bool {
        other.spatial <= self.spatial && other.temporal <= self.temporal
    }

    /// The most that both include.
    #[inline]
    pub fn common(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }
}
