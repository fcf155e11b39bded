/// Which of the last [`WINDOW`] packets of one stream have come (RFC 3711 section 3.3.2).
///
/// Wide, because a retransmission on its own SSRC comes a round trip and hundreds of packets late.
pub(super) struct ReplayWindow {
    highest: u64,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Starts with the packet of this index as the only one that has come.
    pub(super) fn new(index: u64) -> Self {
        let mut window = Self { highest: index, seen: [0; WORDS] };
        window.set(index, true);
        window
    }

    /// The highest index accepted.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet of this index may still come.
    pub(super) fn admits(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        self.highest - index < WINDOW && !self.is_set(index)
    }

    /// Notes that the packet of this index came; it was [admitted](Self::admits) and is authentic.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..index {
                    self.set(skipped, false);
                }
            }
            self.highest = index;
        }
        self.set(index, true);
    }

    fn is_set(&self, index: u64) -> bool {
        let word = self.seen.get((index / 64) as usize % WORDS).copied().unwrap_or_default();
        word & (1 << (index % 64)) != 0
    }

    fn set(&mut self, index: u64, value: bool) {
        if let Some(word) = self.seen.get_mut((index / 64) as usize % WORDS) {
            let bit = 1 << (index % 64);
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}

pub(super) const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_comes_twice_and_nothing_too_late() {
        let mut window = ReplayWindow::new(5000);
        assert!(!window.admits(5000));
        assert!(window.admits(4999));
        assert!(window.admits(5000 - WINDOW + 1));
        assert!(!window.admits(5000 - WINDOW));
        window.accept(5000 + WINDOW);
        assert!(!window.admits(5000));
        assert!(window.admits(5001), "the slot that 5000 used is free for the newer cycle");
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in proptest::collection::vec(0_u64..3000, 1..600)) {
            let first = *steps.first().expect("not empty");
            let mut window = ReplayWindow::new(first);
            let (mut seen, mut highest) = (BTreeSet::from([first]), first);
            for index in steps {
                let expected = !seen.contains(&index) && index + WINDOW > highest;
                prop_assert_eq!(window.admits(index), expected, "{}", index);
                if expected {
                    window.accept(index);
                    seen.insert(index);
                    highest = highest.max(index);
                }
            }
        }
    }
}
