//! The running numbers of pictures in payload descriptors, the same in VP8 and VP9.

/// A picture's running number, of 7 or 15 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// It has 15 bits.
    pub long: bool,
}

/// Which picture a packet is of, and where its descriptor says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PictureNumbers {
    /// The picture's running number, if given.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX, the running number of base-layer pictures, if given.
    pub tl0_pic_idx: Option<u8>,
    /// Where in the payload they are.
    pub(crate) id_at: u8,
    pub(crate) tl0_at: u8,
}

/// The running numbers that a subscriber's copy gets in place of the source's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PictureIds {
    /// Cut to the width that the source uses.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_pic_idx: u8,
}

impl PictureNumbers {
    /// Puts other running numbers into a copy of the payload that these were read from. The length does not change.
    #[inline]
    pub fn rewrite(&self, payload: &mut [u8], ids: &PictureIds) {
        let [high, low] = ids.picture_id.to_be_bytes();
        let at = usize::from(self.id_at);
        match self.picture_id {
            Some(PictureId { long: true, .. }) => {
                if let Some(field) = payload.get_mut(at..at + 2) {
                    field.copy_from_slice(&[high | 0x80, low]);
                }
            }
            Some(PictureId { long: false, .. }) => {
                if let Some(field) = payload.get_mut(at) {
                    *field = low & 0x7f;
                }
            }
            None => {}
        }
        if self.tl0_pic_idx.is_some()
            && let Some(field) = payload.get_mut(usize::from(self.tl0_at))
        {
            *field = ids.tl0_pic_idx;
        }
    }
}

/// Reads a descriptor byte by byte.
pub(super) struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.payload.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A picture id: its first bit says whether it has 15 bits or 7 (RFC 7741 section 4.2, RFC 9628 section 4.2).
    pub(super) fn picture_id(&mut self, numbers: &mut PictureNumbers) -> Option<()> {
        numbers.id_at = self.at as u8;
        let high = self.byte()?;
        numbers.picture_id = Some(if high & 0x80 != 0 {
            PictureId { value: u16::from_be_bytes([high & 0x7f, self.byte()?]), long: true }
        } else {
            PictureId { value: u16::from(high), long: false }
        });
        Some(())
    }

    pub(super) fn tl0_pic_idx(&mut self, numbers: &mut PictureNumbers) -> Option<()> {
        numbers.tl0_at = self.at as u8;
        numbers.tl0_pic_idx = Some(self.byte()?);
        Some(())
    }
}
