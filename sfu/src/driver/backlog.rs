//! What other workers are to be told and have no place for yet.

use std::collections::VecDeque;

use crate::id::ShardIndex;

/// Keeps the order for each of them: while something waits for one, nothing later overtakes it.
pub(super) struct Backlog<T> {
    waiting: VecDeque<(ShardIndex, T)>,
    /// A bit for each that has no place just now.
    full: u64,
}

/// What became of something that was to be handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The other has it.
    Handed,
    /// It waits here.
    Kept,
    /// It could be lost, and is; or too much waits already.
    Lost,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), full: 0 }
    }
}

impl<T> Backlog<T> {
    /// Tries again what waits. `hand` gives back what finds no place.
    pub(super) fn retry(&mut self, mut hand: impl FnMut(ShardIndex, T) -> Result<(), T>) {
        self.full = 0;
        for _ in 0..self.waiting.len() {
            let Some((to, what)) = self.waiting.pop_front() else { return };
            self.offer(to, what, false, &mut hand);
        }
    }

    /// Hands something over after what waits, or has it wait.
    pub(super) fn offer(
        &mut self,
        to: ShardIndex,
        what: T,
        may_be_lost: bool,
        hand: impl FnOnce(ShardIndex, T) -> Result<(), T>,
    ) -> Fate {
        let bit = 1 << to.index();
        let what = if self.full & bit == 0 {
            match hand(to, what) {
                Ok(()) => return Fate::Handed,
                Err(what) => what,
            }
        } else {
            what
        };
        self.full |= bit;
        if may_be_lost || self.waiting.len() >= MOST_WAITING {
            return Fate::Lost;
        }
        self.waiting.push_back((to, what));
        Fate::Kept
    }
}

/// More than any room has publications.
const MOST_WAITING: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_not_overtaken_and_what_may_be_lost_does_not_wait() {
        let [near, far] = [1, 2].map(|index| ShardIndex::new(index).unwrap());
        let mut backlog = Backlog::default();
        let (mut places, mut taken) = (2, Vec::new());
        let mut step = |backlog: &mut Backlog<u32>, more: usize, offers: &[(ShardIndex, u32, bool)]| {
            places += more;
            let mut hand = |to: ShardIndex, what| {
                if to == near {
                    if places == 0 {
                        return Err(what);
                    }
                    places -= 1;
                }
                taken.push(what);
                Ok(())
            };
            backlog.retry(&mut hand);
            let fates: Vec<_> =
                offers.iter().map(|&(to, what, lost)| backlog.offer(to, what, lost, &mut hand)).collect();
            (fates, std::mem::take(&mut taken))
        };
        let (fates, taken) = step(
            &mut backlog,
            0,
            &[
                (near, 1, true),
                (near, 2, false),
                (near, 3, false),
                (near, 4, true),
                (far, 5, true),
                (near, 6, false),
            ],
        );
        use Fate::{Handed, Kept, Lost};
        assert_eq!(fates, [Handed, Handed, Kept, Lost, Handed, Kept]);
        assert_eq!(taken, [1, 2, 5]);
        // One place more is for who waits longest.
        assert_eq!(step(&mut backlog, 1, &[(near, 7, true), (near, 8, false)]), (vec![Lost, Kept], vec![3]));
        assert_eq!(step(&mut backlog, 9, &[(near, 9, true)]), (vec![Handed], vec![6, 8, 9]));
        assert!(backlog.waiting.is_empty());
    }

    #[test]
    fn not_everything_waits() {
        let to = ShardIndex::default();
        let mut backlog = Backlog::default();
        for what in 0..MOST_WAITING {
            assert_eq!(backlog.offer(to, what, false, |_, what| Err(what)), Fate::Kept);
        }
        assert_eq!(backlog.offer(to, 0, false, |_, what| Err(what)), Fate::Lost);
    }
}
