//! Where an AV1 key frame starts (AV1 RTP specification, section 4.4).

/// Whether the packet is the first of a coded video sequence: its aggregation header says so, and it continues no earlier packet's unit.
#[inline]
pub fn is_keyframe_start(payload: &[u8]) -> bool {
    let [continues, new_sequence] =
        [0x80, 0x08].map(|bit| payload.first().is_some_and(|first| first & bit != 0));
    new_sequence && !continues && payload.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_start_where_they_say() {
        let cases: [(&[u8], bool); 5] = [
            (&[], false),
            (&[0x08], false),
            (&[0x18, 0x0a], true),
            (&[0x10, 0x0a], false),
            (&[0x88, 0x0a], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(is_keyframe_start(payload), expected, "{payload:x?}");
        }
    }
}
