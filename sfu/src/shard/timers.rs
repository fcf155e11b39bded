//! When each participant wants to be woken.

use std::time::Instant;

/// One deadline per participant, by their index in the shard.
///
/// A deadline that moves later is not touched: the participant wakes early once, finds nothing due and arms again. So the frequent case,
/// a packet that pushes a timer back, costs a comparison. The others cost no allocation either: it is a binary heap that knows where
/// everybody is.
#[derive(Default)]
pub(crate) struct Timers {
    /// A heap: nobody is due before the one at half their place. Equal deadlines go by index, so that one run is like another.
    heap: Vec<(Instant, usize)>,
    /// Where each participant is in the heap.
    places: Vec<Option<usize>>,
}

impl Timers {
    /// Sees to it that `index` is woken at `at` or earlier.
    #[inline]
    pub(crate) fn arm(&mut self, index: usize, at: Option<Instant>) {
        let Some(at) = at else { return };
        if index >= self.places.len() {
            self.places.resize(index + 1, None);
        }
        let place = match self.places[index] {
            Some(place) if self.heap[place].0 <= at => return,
            Some(place) => place,
            None => {
                self.heap.push((at, index));
                self.heap.len() - 1
            }
        };
        self.heap[place] = (at, index);
        self.rise(place);
    }

    /// Forgets `index`.
    pub(crate) fn disarm(&mut self, index: usize) {
        let Some(place) = self.places.get_mut(index).and_then(Option::take) else { return };
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            let place = self.rise(place);
            self.sink(place);
        }
    }

    /// The next one that is due, disarmed.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<usize> {
        let &(at, index) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.disarm(index);
        Some(index)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Moves an entry up to where it belongs, and says where that is.
    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 && self.heap[place] < self.heap[(place - 1) / 2] {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        self.places[self.heap[place].1] = Some(place);
        place
    }

    /// Moves an entry down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let below = [2 * place + 1, 2 * place + 2].into_iter().filter(|&at| at < self.heap.len());
            let Some(first) = below.min_by_key(|&at| self.heap[at]) else { break };
            if self.heap[place] <= self.heap[first] {
                break;
            }
            self.swap(place, first);
            place = first;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            self.places[self.heap[place].1] = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_earliest_deadline_counts_and_each_fires_once() {
        let origin = origin();
        let at = |ms| Some(origin + Duration::from_millis(ms));
        let mut timers = Timers::default();
        timers.arm(3, at(30));
        timers.arm(1, at(20));
        timers.arm(3, at(10));
        timers.arm(1, at(50));
        timers.arm(2, None);
        assert_eq!(timers.next(), at(10));
        assert_eq!(timers.pop(origin), None);
        assert_eq!(timers.pop(origin + Duration::from_millis(25)), Some(3));
        assert_eq!(timers.pop(origin + Duration::from_millis(25)), Some(1));
        assert_eq!(timers.next(), None);
        timers.arm(1, at(60));
        timers.disarm(1);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        #[test]
        fn it_does_what_a_sorted_list_does(steps in prop::collection::vec((0u8..4, 0usize..12, 0u64..60), 0..200)) {
            let origin = origin();
            let mut timers = Timers::default();
            let mut model: BTreeMap<usize, Instant> = BTreeMap::new();
            let mut now = origin;
            for (what, index, ms) in steps {
                let at = now + Duration::from_millis(ms);
                match what {
                    0 | 1 => {
                        timers.arm(index, Some(at));
                        let armed = model.entry(index).or_insert(at);
                        *armed = at.min(*armed);
                    }
                    2 => {
                        timers.disarm(index);
                        model.remove(&index);
                    }
                    _ => {
                        now = now.max(at);
                        let first = model.iter().map(|(&index, &at)| (at, index)).min().filter(|first| first.0 <= now);
                        prop_assert_eq!(timers.pop(now), first.map(|first| first.1));
                        if let Some((_, index)) = first {
                            model.remove(&index);
                        }
                    }
                }
                prop_assert_eq!(timers.next(), model.values().min().copied());
            }
        }
    }
}
