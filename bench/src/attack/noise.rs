//! Datagrams of 0 to 300 bytes that begin with every byte there is.

use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::generator::Generator;

/// Every first byte in turn, with a length and contents left to chance.
#[derive(Debug)]
pub struct Noise {
    rng: ChaCha8Rng,
    first: u8,
}

impl Noise {
    /// The longest datagram.
    pub const LONGEST: usize = 300;

    /// Noise from a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), first: u8::MAX }
    }
}

impl Generator for Noise {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.first = self.first.wrapping_add(1);
        out.resize(self.rng.random_range(0..=Self::LONGEST), 0);
        self.rng.fill_bytes(out);
        if let Some(first) = out.first_mut() {
            *first = self.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_first_byte_and_almost_every_length_comes() {
        let mut noise = Noise::new(1);
        let (mut firsts, mut lengths) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..4096 {
            let mut out = Vec::new();
            noise.next(&mut out);
            firsts.extend(out.first().copied());
            lengths.insert(out.len());
        }
        assert_eq!(firsts.len(), 256);
        assert!(lengths.len() > 290 && lengths.contains(&0) && lengths.contains(&Noise::LONGEST));
    }
}
