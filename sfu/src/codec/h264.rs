//! Where pictures begin anew in H.264, whose payload is passed on as it is, and how large they are.

use super::bits::BitReader;

/// Whether a payload (RFC 6184) holds or begins parameter sets or an IDR picture.
pub(super) fn starts_keyframe(payload: &[u8]) -> bool {
    let starts = |unit: u8| matches!(unit & 0x1f, IDR | SPS);
    match payload {
        [unit, header, ..] if unit & 0x1f == FU_A => header & 0x80 != 0 && starts(*header),
        _ => Units::of(payload).any(|unit| unit.first().copied().is_some_and(starts)),
    }
}

/// Width and height in pixels, where a payload holds a whole sequence parameter set that tells them.
pub(super) fn dimensions(payload: &[u8]) -> Option<(u16, u16)> {
    let set = Units::of(payload).find_map(|unit| match unit {
        [header, set @ ..] if header & 0x1f == SPS => Some(set),
        _ => None,
    })?;
    let (bytes, len) = without_emulation_prevention(set);
    sequence_parameter_set(&mut BitReader::new(bytes.get(..len)?))
}

/// The NAL units of a payload that has whole ones: the only one, or those of a STAP-A (RFC 6184 section 5.7.1) up to the first that is cut short.
struct Units<'a> {
    rest: &'a [u8],
    aggregated: bool,
}

impl<'a> Units<'a> {
    fn of(payload: &'a [u8]) -> Self {
        match payload {
            [unit, rest @ ..] if unit & 0x1f == STAP_A => Self { rest, aggregated: true },
            [unit, ..] if unit & 0x1f == FU_A => Self { rest: &[], aggregated: false },
            _ => Self { rest: payload, aggregated: false },
        }
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = std::mem::take(&mut self.rest);
        if !self.aggregated {
            return (!rest.is_empty()).then_some(rest);
        }
        let (&[l0, l1], after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(u16::from_be_bytes([l0, l1]).into())?;
        self.rest = after;
        Some(unit)
    }
}

/// What stands in a NAL unit before bytes were put in so that it has no start code (H.264 section 7.4.1), as far as it is of use, and its length.
fn without_emulation_prevention(unit: &[u8]) -> ([u8; MOST_BYTES], usize) {
    let mut bytes = [0; MOST_BYTES];
    let (mut len, mut zeros) = (0, 0);
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        let Some(place) = bytes.get_mut(len) else { break };
        *place = byte;
        len += 1;
    }
    (bytes, len)
}

/// `seq_parameter_set_data()` (H.264 section 7.3.2.1.1), as far as the cropping of the picture.
fn sequence_parameter_set(bits: &mut BitReader<'_>) -> Option<(u16, u16)> {
    let profile = bits.number(8)?;
    // Constraints, level; the set's id.
    bits.number(16)?;
    bits.exp_golomb()?;
    let mut chroma = CHROMA_420;
    if PROFILES_WITH_CHROMA.contains(&profile) {
        chroma = chroma_format(bits)?;
    }
    bits.exp_golomb()?;
    picture_order(bits)?;
    // Reference frames, and whether their numbers may have gaps.
    bits.exp_golomb()?;
    bits.bit()?;
    let width = bits.exp_golomb()?.checked_add(1)?.checked_mul(MACROBLOCK)?;
    let units = bits.exp_golomb()?.checked_add(1)?.checked_mul(MACROBLOCK)?;
    let frames_only = bits.bit()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        bits.bit()?;
    }
    bits.bit()?;
    let height = units.checked_mul(fields)?;
    let [mut horizontal, mut vertical] = [0_u32; 2];
    if bits.bit()? {
        horizontal = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?;
        vertical = bits.exp_golomb()?.checked_add(bits.exp_golomb()?)?;
    }
    // Cropped by whole samples of colour.
    let (across, down) = match chroma {
        CHROMA_420 => (2, 2),
        CHROMA_422 => (2, 1),
        _ => (1, 1),
    };
    let width = width.checked_sub(horizontal.checked_mul(across)?)?;
    let height = height.checked_sub(vertical.checked_mul(down)?.checked_mul(fields)?)?;
    let size = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

/// What the high profiles tell of colours and quantisation; the chroma format.
fn chroma_format(bits: &mut BitReader<'_>) -> Option<u32> {
    let mut chroma = bits.exp_golomb()?;
    let lists = if chroma == CHROMA_444 { 12 } else { 8 };
    if chroma == CHROMA_444 && bits.bit()? {
        // Each colour is a picture without colour.
        chroma = 0;
    }
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.bit()?;
    if bits.bit()? {
        for list in 0..lists {
            if bits.bit()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

/// `scaling_list()` (H.264 section 7.3.2.1.1.1): read only to come to what follows it.
fn scaling_list(bits: &mut BitReader<'_>, len: usize) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..len {
        if next != 0 {
            next = last.wrapping_add(bits.signed_exp_golomb()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn picture_order(bits: &mut BitReader<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.bit()?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let cycle = bits.exp_golomb()?;
            for _ in 0..cycle.min(MOST_OF_A_CYCLE) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Longer than a parameter set with all scaling lists usually is.
const MOST_BYTES: usize = 512;
const MACROBLOCK: u32 = 16;
const CHROMA_420: u32 = 1;
const CHROMA_422: u32 = 2;
const CHROMA_444: u32 = 3;
/// The greatest `num_ref_frames_in_pic_order_cnt_cycle`.
const MOST_OF_A_CYCLE: u32 = 255;
/// Those whose parameter sets tell the chroma format.
const PROFILES_WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

#[cfg(test)]
mod tests;
