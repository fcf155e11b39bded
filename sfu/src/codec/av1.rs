//! Where pictures begin anew in AV1, whose payload is passed on as it is.

/// Whether a payload begins a coded video sequence: the N bit of its aggregation header (AV1 RTP specification, section 4.4).
pub(super) fn starts_keyframe(payload: &[u8]) -> bool {
    payload.first().is_some_and(|header| header & 0x08 != 0 && header & 0x80 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_so_in_its_aggregation_header() {
        assert!(starts_keyframe(&[0x08]));
        assert!(!starts_keyframe(&[0x88]), "it continues a unit");
        assert!(!starts_keyframe(&[0x00]));
    }
}
