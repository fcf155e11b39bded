//! Where a VP9 key frame starts (RFC 9628 section 4.2).

/// Whether the payload begins a picture that refers to no other, in the lowest spatial layer.
#[inline]
pub fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some((&first, rest)) = payload.split_first() else { return false };
    let [id, inter, layers, begins] = [0x80, 0x40, 0x20, 0x08].map(|bit| first & bit != 0);
    if inter || !begins {
        return false;
    }
    if !layers {
        return true;
    }
    let id_bytes = match rest.first() {
        Some(high) if id => 1 + usize::from(high >> 7),
        _ => 0,
    };
    // The spatial layer stands in bits 1 to 3.
    rest.get(id_bytes).is_some_and(|layer| layer & 0x0e == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_start_where_they_say() {
        let cases: [(&[u8], bool); 8] = [
            (&[], false),
            (&[0x08], true),
            (&[0x48], false),
            (&[0x00], false),
            (&[0xa8, 0x81, 0x02, 0x00], true),
            (&[0xa8, 0x01, 0x02], false),
            (&[0xa8, 0x81], false),
            (&[0x28, 0xe0], true),
        ];
        for (payload, expected) in cases {
            assert_eq!(is_keyframe_start(payload), expected, "{payload:x?}");
        }
    }
}
