//! Where an H.264 key frame starts (RFC 6184).

/// Whether the payload begins what a decoder can start at: a sequence parameter set or an IDR slice, alone, in an
/// aggregate (STAP-A), or as the first fragment (FU-A).
#[inline]
pub fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some((&first, rest)) = payload.split_first() else { return false };
    match first & 0x1f {
        STAP_A => aggregate_has_start(rest),
        FU_A => rest.first().is_some_and(|header| header & 0x80 != 0 && starts(header & 0x1f)),
        unit => starts(unit),
    }
}

fn aggregate_has_start(mut rest: &[u8]) -> bool {
    while let Some((size, after)) = rest.split_first_chunk::<2>() {
        let Some((unit, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*size))) else {
            return false;
        };
        if unit.first().is_some_and(|header| starts(header & 0x1f)) {
            return true;
        }
        rest = after;
    }
    false
}

fn starts(unit: u8) -> bool {
    matches!(unit, IDR | SPS)
}

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_start_where_they_say() {
        let cases: [(&[u8], bool); 10] = [
            (&[], false),
            (&[0x65], true),
            (&[0x67], true),
            (&[0x41], false),
            (&[0x68], false),
            (&[0x18, 0, 2, 0x65, 0x88], true),
            (&[0x18, 0, 1, 0x06, 0, 1, 0x67], true),
            (&[0x18, 0, 2, 0x65], false),
            (&[0x7c, 0x85], true),
            (&[0x7c, 0x05], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(is_keyframe_start(payload), expected, "{payload:x?}");
        }
    }
}
