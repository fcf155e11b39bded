//! Things with a stable index.

use std::ops::{Index, IndexMut};

/// Keeps values under indices that do not move; a freed index is used again.
pub(super) struct Arena<T> {
    /// Each has a place of its own, so that there is no more memory in use than values, but for a word.
    entries: Vec<Option<Box<T>>>,
    free: Vec<usize>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    pub(super) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.entries[index] = Some(Box::new(value));
                index
            }
            None => {
                self.entries.push(Some(Box::new(value)));
                self.entries.len() - 1
            }
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<T> {
        let value = self.entries.get_mut(index)?.take()?;
        self.free.push(index);
        Some(*value)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)?.as_deref_mut()
    }

    pub(super) fn indices(&self) -> Vec<usize> {
        (0..self.entries.len()).filter(|&index| self.entries[index].is_some()).collect()
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    /// The value at an index that is known to be taken; panics otherwise.
    fn index(&self, index: usize) -> &T {
        self.entries[index].as_deref().expect("an index kept by the shard is taken")
    }
}

impl<T> IndexMut<usize> for Arena<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.entries[index].as_deref_mut().expect("an index kept by the shard is taken")
    }
}
