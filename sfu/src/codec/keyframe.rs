//! Where pictures begin anew, for the codecs whose payload is passed on as it is.

/// Whether an H.264 payload (RFC 6184) holds or begins parameter sets or an IDR picture.
pub(super) fn h264(payload: &[u8]) -> bool {
    let starts = |unit: u8| matches!(unit & 0x1f, IDR | SPS);
    match payload {
        [unit, rest @ ..] if unit & 0x1f == STAP_A => {
            let mut rest = rest;
            while let Some((&[l0, l1], after)) = rest.split_first_chunk::<2>() {
                let Some((unit, after)) = after.split_at_checked(u16::from_be_bytes([l0, l1]).into()) else {
                    return false;
                };
                if unit.first().copied().is_some_and(starts) {
                    return true;
                }
                rest = after;
            }
            false
        }
        [unit, header, ..] if unit & 0x1f == FU_A => header & 0x80 != 0 && starts(*header),
        [unit, ..] => starts(*unit),
        [] => false,
    }
}

/// Whether an AV1 payload begins a coded video sequence: the N bit of its aggregation header.
pub(super) fn av1(payload: &[u8]) -> bool {
    payload.first().is_some_and(|header| header & 0x08 != 0 && header & 0x80 == 0)
}

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_begins_with_parameter_sets_or_an_idr_picture() {
        assert!(h264(&[0x65, 0, 0]));
        assert!(h264(&[0x67, 0x42]));
        assert!(!h264(&[0x61, 0]));
        assert!(h264(&[24, 0, 2, 0x67, 1, 0, 1, 0x65]));
        assert!(h264(&[24, 0, 1, 0x09, 0, 1, 0x65]), "a delimiter may come first");
        assert!(!h264(&[24, 0, 9, 0x67]), "a length beyond the end");
        assert!(h264(&[28, 0x85, 1]));
        assert!(!h264(&[28, 0x05, 1]), "a later fragment");
        assert!(!h264(&[]));
    }

    #[test]
    fn av1_says_it_in_its_aggregation_header() {
        assert!(av1(&[0x08]));
        assert!(!av1(&[0x88]), "it continues a unit");
        assert!(!av1(&[0x00]));
    }
}
