//! Short counters made long.

/// Extends 16-bit sequence numbers to 64 bits; the first one seen is in cycle 1, so that those just before it have a place too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extender16 {
    highest: Option<u64>,
}

impl Extender16 {
    /// The extended number closest to the highest so far, which it may become.
    #[inline]
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        self.highest = Some(self.highest.map_or(extended, |highest| highest.max(extended)));
        extended
    }

    /// Goes on from an extended number, wherever it lies.
    pub fn restart(&mut self, extended: u64) {
        self.highest = Some(extended);
    }

    /// The same without remembering.
    #[inline]
    pub fn peek(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return 65_536 + u64::from(sequence) };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        highest.saturating_add_signed(i64::from(ahead))
    }
}
