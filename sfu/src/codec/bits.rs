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

    /// A number that is shorter the smaller it is, `ue(v)` (H.264 section 9.1); at most 2^32 - 2.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        let rest = self.number(Some(zeros).filter(|&zeros| zeros < u32::BITS)?)?;
        1_u32.checked_shl(zeros)?.wrapping_sub(1).checked_add(rest)
    }

    /// The same with a sign, `se(v)` (H.264 section 9.1.1).
    pub(super) fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = self.exp_golomb()?;
        let size = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { size } else { -size })
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
    fn exponential_golomb_codes_are_those_of_the_standard() {
        // Table 9-2: 1, 010, 011, 00100, 00101, 00110.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1001_1000];
        let mut reader = BitReader::new(&bytes);
        assert_eq!([(); 6].map(|()| reader.exp_golomb()), [0, 1, 2, 3, 4, 5].map(Some));
        assert_eq!(reader.exp_golomb(), None);
        let mut reader = BitReader::new(&bytes);
        assert_eq!([(); 6].map(|()| reader.signed_exp_golomb()), [0, 1, -1, 2, -2, 3].map(Some));
        assert_eq!(BitReader::new(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).exp_golomb(), Some(u32::MAX - 1));
        assert_eq!(
            BitReader::new(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]).exp_golomb(),
            None,
            "too long"
        );
        assert_eq!(BitReader::new(&[0; 64]).exp_golomb(), None);
    }

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
