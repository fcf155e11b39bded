//! Running frame numbers in dependency descriptors for one slot, across changes of its source.

/// Keeps frame numbers running on when the source changes. Within a source they stay as far apart as they were: references are distances.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameMunger {
    /// Subtracted from the source's numbers, wrapping.
    offset: u16,
    last: Option<u16>,
}

impl FrameMunger {
    /// Begins another source with this frame: it gets the number after those sent.
    pub fn switch_to(&mut self, frame_number: u16) {
        if let Some(last) = self.last {
            self.offset = frame_number.wrapping_sub(last.wrapping_add(1));
        }
    }

    /// The number for a frame of the present source.
    #[inline]
    pub fn forward(&mut self, frame_number: u16) -> u16 {
        let sent = frame_number.wrapping_sub(self.offset);
        if self.last.is_none_or(|last| sent.wrapping_sub(last) < 1 << 15) {
            self.last = Some(sent);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_on_across_a_switch_and_distances_stay() {
        let mut munger = FrameMunger::default();
        munger.switch_to(65_534);
        assert_eq!([65_534, 1, 0].map(|frame| munger.forward(frame)), [65_534, 1, 0]);
        munger.switch_to(500);
        assert_eq!([500, 503, 501].map(|frame| munger.forward(frame)), [2, 5, 3]);
    }
}
