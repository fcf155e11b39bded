//! The Range header (RFC 9110 section 14.2), as far as a media element uses it.

/// Which bytes of a file are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Requested {
    /// All, also when the header is of a kind that may be ignored.
    Whole,
    /// These.
    Part(Span),
    /// None that exist.
    Unsatisfiable,
}

/// Consecutive bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// Reads a Range header for a file of `length` bytes. An open end is answered with at most 256 KiB: a browser asks
/// on, and many elements share one line fairly. Several ranges are ignored, as a server may.
pub(super) fn parse(header: &str, length: u64) -> Requested {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'))
    else {
        return Requested::Whole;
    };
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
    };
    let (start, wanted) = match (first, last) {
        ("", suffix) => match number(suffix) {
            Some(0) => return Requested::Unsatisfiable,
            Some(suffix) => (length.saturating_sub(suffix), suffix),
            None => return Requested::Whole,
        },
        (first, "") => match number(first) {
            Some(start) => (start, OPEN_ENDED),
            None => return Requested::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), Some(last)) if start <= last => (start, (last - start).saturating_add(1)),
            _ => return Requested::Whole,
        },
    };
    match length.checked_sub(start).filter(|&left| left > 0) {
        Some(left) => Requested::Part(Span { start, length: wanted.min(left) }),
        None => Requested::Unsatisfiable,
    }
}

const OPEN_ENDED: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |start, length| Requested::Part(Span { start, length });
        for (header, requested) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=10-", part(10, OPEN_ENDED)),
            ("bytes=999990-", part(999_990, 10)),
            ("bytes=999990-2000000", part(999_990, 10)),
            ("bytes=-5", part(999_995, 5)),
            ("bytes=-2000000", part(0, 1_000_000)),
            ("bytes=1000000-", Requested::Unsatisfiable),
            ("bytes=1000000-1000001", Requested::Unsatisfiable),
            ("bytes=-0", Requested::Unsatisfiable),
            ("bytes=5-4", Requested::Whole),
            ("bytes=-", Requested::Whole),
            ("bytes=+1-2", Requested::Whole),
            ("bytes=0-1,5-6", Requested::Whole),
            ("items=0-1", Requested::Whole),
            ("", Requested::Whole),
        ] {
            assert_eq!(parse(header, 1_000_000), requested, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Requested::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn no_header_reaches_outside_the_file(
            header in "bytes=[0-9+, -]{0,24}|.{0,30}",
            length in prop_oneof![0..10u64, any::<u64>()],
        ) {
            if let Requested::Part(span) = parse(&header, length) {
                prop_assert!(span.length > 0);
                prop_assert!(span.start.checked_add(span.length).is_some_and(|end| end <= length));
            }
        }
    }
}
