//! Bits from the most significant one on, as codecs write them.

/// Reads fields of bits; past the end there is `None`.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte << (self.at % 8) & 0x80 != 0;
        self.at += 1;
        Some(bit)
    }

    /// A number of at most 32 bits, `f(n)`.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..bits {
            number = number << 1 | u32::from(self.bit()?);
        }
        Some(number)
    }

    /// A number below `limit` in as few bits as it needs, `ns(n)` (AV1 bitstream specification section 4.10.7). `limit` is 1 to 255.
    pub(super) fn below(&mut self, limit: u8) -> Option<u8> {
        let limit = u32::from(limit);
        let width = u32::BITS - limit.leading_zeros();
        let short = (1_u32 << width).wrapping_sub(limit);
        let number = self.number(width.saturating_sub(1))?;
        let number = if number < short {
            number
        } else {
            (number << 1).wrapping_sub(short).wrapping_add(self.number(1)?)
        };
        u8::try_from(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_limit_take_as_few_bits_as_they_need() {
        // The table of the AV1 specification for n = 5: 00, 01, 10, 110, 111.
        let mut reader = BitReader::new(&[0b0001_1011, 0b0111_0000]);
        let numbers: Vec<_> = (0..5).filter_map(|_| reader.below(5)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(reader.number(4), Some(0));
        assert_eq!(reader.bit(), None);
        assert_eq!(BitReader::new(&[]).below(1), Some(0));
    }
}
