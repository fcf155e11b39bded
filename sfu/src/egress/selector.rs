//! Which encoding a slot shows, and when it may change.

/// Knows the encoding shown (`current`) and the one that should be (`target`). Only a key frame moves what is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LayerSelector {
    current: Option<u8>,
    target: Option<u8>,
    /// Every packet can be decoded by itself: no key frame is waited for.
    independent: bool,
}

/// What to do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selection {
    /// It belongs to what is shown.
    Forward,
    /// It begins what is shown from now on.
    Switch,
    /// It belongs to something else.
    Drop,
}

impl LayerSelector {
    /// For sound: the only encoding, from any packet on.
    pub fn passthrough() -> Self {
        Self { current: None, target: Some(0), independent: true }
    }

    /// Sets the encoding that should be shown; whether that is news. With `None` what flows stops at once.
    pub fn set_target(&mut self, target: Option<u8>) -> bool {
        let news = self.target != target;
        self.target = target;
        if target.is_none() {
            self.current = None;
        }
        news
    }

    /// The encoding shown.
    pub fn current(&self) -> Option<u8> {
        self.current
    }

    /// Decides about a packet of an encoding.
    #[inline]
    pub fn select(&mut self, encoding: u8, starts_keyframe: bool) -> Selection {
        if self.current == Some(encoding) {
            return Selection::Forward;
        }
        if self.target == Some(encoding) && (starts_keyframe || self.independent) {
            self.current = self.target;
            return Selection::Switch;
        }
        Selection::Drop
    }

    /// The encoding of which a key frame is needed to get to the target.
    pub fn wanted_keyframe(&self) -> Option<u8> {
        self.target.filter(|_| self.target != self.current && !self.independent)
    }

    /// The encoding that a viewer who cannot decode needs a key frame of: what they are to see, or what they see.
    pub fn shown_or_wanted(&self) -> Option<u8> {
        self.wanted_keyframe().or(self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_frame_of_the_target_moves_what_is_shown() {
        let mut selector = LayerSelector::default();
        assert_eq!(selector.select(0, true), Selection::Drop);
        assert!(selector.set_target(Some(1)));
        assert!(!selector.set_target(Some(1)));
        assert_eq!(selector.wanted_keyframe(), Some(1));
        assert_eq!(selector.select(1, false), Selection::Drop);
        assert_eq!(selector.select(0, true), Selection::Drop);
        assert_eq!(selector.select(1, true), Selection::Switch);
        assert_eq!(selector.wanted_keyframe(), None);
        assert_eq!(selector.select(1, false), Selection::Forward);
        selector.set_target(Some(0));
        assert_eq!(selector.select(1, false), Selection::Forward, "the former one goes on until the switch");
        assert_eq!(selector.shown_or_wanted(), Some(0));
        assert_eq!(selector.select(0, true), Selection::Switch);
        assert_eq!(selector.select(1, true), Selection::Drop);
    }

    #[test]
    fn without_a_target_nothing_flows_until_a_key_frame_of_the_next_one() {
        for mut selector in [LayerSelector::default(), LayerSelector::passthrough()] {
            selector.set_target(Some(0));
            assert_eq!(selector.select(0, true), Selection::Switch);
            assert!(selector.set_target(None));
            assert_eq!(selector.select(0, true), Selection::Drop);
            assert_eq!(selector.shown_or_wanted(), None);
            selector.set_target(Some(0));
            assert_eq!(selector.select(0, true), Selection::Switch, "what is shown begins anew");
        }
    }

    #[test]
    fn sound_begins_at_any_packet() {
        let mut selector = LayerSelector::passthrough();
        assert_eq!(selector.wanted_keyframe(), None);
        assert_eq!(selector.select(0, false), Selection::Switch);
        assert_eq!(selector.select(0, false), Selection::Forward);
    }
}
