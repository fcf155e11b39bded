//! The VP9 payload descriptor (RFC 9628 section 4.2).

use super::Layer;
use super::picture::{PictureNumbers, Reader};

/// Where a packet belongs in a VP9 stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp9Descriptor {
    /// The picture's running numbers; TL0PICIDX only in non-flexible mode.
    pub numbers: PictureNumbers,
    /// The layer (TID and SID), if the descriptor has indices.
    pub layer: Option<Layer>,
    /// The frame is predicted from other pictures (the P bit).
    pub inter_picture: bool,
    /// The frame is predicted from the spatial layer below, of the same picture (the D bit).
    pub inter_layer: bool,
    /// No later picture of a higher temporal layer needs one of such a layer from before this picture (the U bit).
    pub switching_up: bool,
    /// The references of each frame are in its descriptor (the F bit), instead of following a group of pictures.
    pub flexible: bool,
    /// The packet begins a frame, which is one spatial layer of a picture (the B bit).
    pub starts_frame: bool,
    /// The packet ends a frame (the E bit).
    pub ends_frame: bool,
    /// No upper spatial layer of the same picture needs this frame (the Z bit).
    pub not_for_upper: bool,
    /// In flexible mode, how many pictures before this one the frame's references are: 1 to 127, 0 for none.
    pub differences: [u8; 3],
    /// What the stream's layers are, where the packet tells (the V bit).
    pub scalability: Option<Vp9Scalability>,
    /// The descriptor's length in bytes.
    pub len: usize,
}

/// The scalability structure: the spatial layers of a VP9 stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp9Scalability {
    /// 1 to 8.
    pub spatial_layers: u8,
    /// Width and height in pixels by spatial layer, where they are told.
    pub resolutions: Option<[(u16, u16); 8]>,
}

impl Vp9Descriptor {
    /// Reads a payload; `None` when it is shorter than it says, or says more references than there can be.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let first = reader.byte()?;
        let flag = |bit: u8| first & bit != 0;
        let (inter_picture, flexible) = (flag(0x40), flag(0x10));
        let mut numbers = PictureNumbers::default();
        let (mut layer, mut inter_layer, mut switching_up) = (None, false, false);
        let mut differences = [0; 3];
        if flag(0x80) {
            reader.picture_id(&mut numbers)?;
        }
        if flag(0x20) {
            let indices = reader.byte()?;
            layer = Some(Layer { spatial: indices >> 1 & 7, temporal: indices >> 5 });
            (inter_layer, switching_up) = (indices & 0x01 != 0, indices & 0x10 != 0);
            if !flexible {
                reader.tl0_pic_idx(&mut numbers)?;
            }
        }
        if flexible && inter_picture {
            let mut places = differences.iter_mut();
            loop {
                let byte = reader.byte()?;
                *places.next()? = byte >> 1;
                if byte & 1 == 0 {
                    break;
                }
            }
        }
        let scalability = if flag(0x02) { Some(Vp9Scalability::parse(&mut reader)?) } else { None };
        let len = reader.position();
        (len <= payload.len()).then_some(Self {
            numbers,
            layer,
            inter_picture,
            inter_layer,
            switching_up,
            flexible,
            starts_frame: flag(0x08),
            ends_frame: flag(0x04),
            not_for_upper: flag(0x01),
            differences,
            scalability,
            len,
        })
    }

    /// The packet begins a picture that needs no other: the base layer's frame, not predicted.
    pub fn starts_keyframe(&self) -> bool {
        let base = self.layer.is_none_or(|layer| layer.spatial == 0);
        self.starts_frame && base && !self.inter_picture && !self.inter_layer
    }
}

impl Vp9Scalability {
    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.byte()?;
        let spatial_layers = (first >> 5) + 1;
        let mut resolutions = None;
        if first & 0x10 != 0 {
            let mut told = [(0, 0); 8];
            for resolution in told.iter_mut().take(usize::from(spatial_layers)) {
                *resolution = (reader.word()?, reader.word()?);
            }
            resolutions = Some(told);
        }
        if first & 0x08 != 0 {
            // The group of pictures: each with its layer and its references. Nothing of ours.
            for _ in 0..reader.byte()? {
                let references = reader.byte()? >> 2 & 3;
                for _ in 0..references {
                    reader.byte()?;
                }
            }
        }
        Some(Self { spatial_layers, resolutions })
    }
}
