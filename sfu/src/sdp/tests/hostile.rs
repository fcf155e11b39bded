//! Limits to the unit, and text made to hurt.

use proptest::prelude::*;

use super::super::lines::tests::VISITS;
use super::super::streams::STREAMS_CONSIDERED;
use super::*;

#[test]
fn the_offers_size_is_limited() {
    for (limit, fits) in [(PUBLISH.len() - 1, false), (PUBLISH.len(), true), (PUBLISH.len() + 1, true)] {
        let limits = Limits { offer_bytes: limit, ..Limits::default() };
        match negotiate_within(PUBLISH, None, &limits) {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && error == OfferError::TooLarge { limit }, "{error}"),
        }
    }
}

#[test]
fn the_number_of_m_lines_is_limited() {
    for (limit, fits) in [(10, false), (11, true), (12, true)] {
        let limits = Limits { media_lines: limit, ..Limits::default() };
        match negotiate_within(PUBLISH, None, &limits) {
            Ok(_) => assert!(fits),
            Err(error) => assert!(!fits && error == OfferError::TooManyLines { limit }, "{error}"),
        }
    }
}

#[test]
fn encodings_beyond_the_limit_are_left_out() {
    for (limit, expected) in [(2, "q;h"), (3, "q;h;f"), (4, "q;h;f")] {
        let limits = Limits { encodings_per_publication: limit, ..Limits::default() };
        let (answer, negotiated) = negotiate_within(PUBLISH, None, &limits).unwrap();
        assert!(answer.contains(&format!("a=simulcast:recv {expected}\r\n")));
        assert_eq!(answer.matches("a=rid:").count(), limit.min(3));
        let expected = rids(&expected.split(';').collect::<Vec<_>>());
        assert_eq!(*flow(&negotiated, "1"), Flow::Receive { rids: expected, ssrcs: Vec::new() });
    }
}

#[test]
fn ssrcs_beyond_the_limit_are_refused() {
    // One video stream with its retransmissions and one audio stream.
    for (limit, fits) in [(2, false), (3, true), (4, true)] {
        let limits = Limits { ssrcs_per_participant: limit, ..Limits::default() };
        assert_eq!(negotiate_within(SENDRECV, None, &limits).is_ok(), fits, "{limit}");
    }
}

#[test]
fn streams_beyond_what_is_considered_are_ignored() {
    for count in [STREAMS_CONSIDERED - 1, STREAMS_CONSIDERED, STREAMS_CONSIDERED + 1] {
        let lines: String = (0..count).map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n")).collect();
        let limits =
            Limits { ssrcs_per_participant: 1000, encodings_per_publication: 1000, ..Limits::default() };
        let (_, negotiated) = negotiate_within(&rules::audio(&lines), None, &limits).unwrap();
        let Flow::Receive { ssrcs, .. } = &negotiated.media[0].flow else { panic!("{negotiated:?}") };
        assert_eq!(ssrcs.len(), count.min(STREAMS_CONSIDERED));

        let declared: String = (0..count).map(|rid| format!("a=rid:r{rid} send\r\n")).collect();
        let list = (0..count).map(|rid| format!("r{rid}")).collect::<Vec<_>>().join(";");
        let lines = format!(
            "a=rtpmap:98 VP8/90000\r\na=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
             {declared}a=simulcast:send {list}\r\n"
        );
        let (_, negotiated) = negotiate_within(&rules::video("98", &lines), None, &limits).unwrap();
        let Flow::Receive { rids, .. } = &negotiated.media[0].flow else { panic!("{negotiated:?}") };
        assert_eq!(rids.len(), count.min(STREAMS_CONSIDERED));
    }
}

#[test]
fn the_message_size_told_is_the_limit() {
    for message_bytes in [1, 65_535, 65_536, 65_537] {
        let limits = Limits { message_bytes, ..Limits::default() };
        let (answer, _) = negotiate_within(PUBLISH, None, &limits).unwrap();
        assert!(answer.contains(&format!("a=max-message-size:{message_bytes}\r\n")));
    }
}

/// Every attribute is looked at a bounded number of times, however many there are and wherever they stand.
#[test]
fn work_grows_with_the_text_and_no_faster() {
    let limits = Limits { offer_bytes: usize::MAX, media_lines: usize::MAX, ..Limits::default() };
    let many = |line: &str, count: usize| rules::audio(&line.repeat(count));
    let m_lines = |count: usize| {
        let mids: String = (0..count).map(|mid| format!(" {mid}")).collect();
        let line = |mid| {
            format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{mid}\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
                 a=recvonly\r\n"
            )
        };
        let lines: String = (0..count).map(line).collect();
        rules::audio("").split("m=audio").next().unwrap().to_owned()
            + &format!("a=group:BUNDLE{mids}\r\n{lines}")
    };
    type Shape<'a> = &'a dyn Fn(usize) -> String;
    let shapes: [Shape<'_>; 5] = [
        &|count| many("a=x\r\n", count),
        &|count| many("a=ssrc:1 cname:x\r\n", count),
        &|count| many("a=rtcp-fb:111 nack\r\n", count),
        &|count| many("a=extmap:1 urn:x\r\n", count),
        &m_lines,
    ];
    for (index, shape) in shapes.iter().enumerate() {
        for count in [10, 100, 1000] {
            let text = shape(count);
            VISITS.set(0);
            negotiate_within(&text, None, &limits).unwrap();
            let attributes = text.matches("\r\na=").count();
            assert!(VISITS.get() <= 20 * attributes, "shape {index}: {} for {attributes}", VISITS.get());
        }
    }
}

/// What an accepted offer must hold to, whatever it looked like.
fn check(text: &str, previous: Option<&Negotiated>) {
    let Ok((answer, negotiated)) = negotiate(text, previous) else { return };
    // Two lite sides cannot meet, which is the one thing that keeps an answer from being an offer.
    let parsed = Offer::parse(&answer.replace("a=ice-lite\r\n", ""), &Limits::default());
    assert!(parsed.is_ok(), "{parsed:?}\n{answer}");
    let m_lines = |text: &str| text.split(['\r', '\n']).filter(|line| line.starts_with("m=")).count();
    assert_eq!(m_lines(text), m_lines(&answer));
    for line in &negotiated.media {
        assert!(line.flow == Flow::Nothing || !line.codecs.is_empty());
        assert!(line.codecs.iter().all(|codec| codec.codec.kind() == line.kind && codec.payload_type < 128));
    }
}

#[derive(Clone, Debug)]
enum Mutation {
    Character(prop::sample::Index, prop::sample::Index, char),
    CutLine(prop::sample::Index),
    RepeatLine(prop::sample::Index, prop::sample::Index),
    Truncate(prop::sample::Index),
    SpliceWord(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), index(), prop_oneof![any::<char>(), prop::char::range(' ', '~')])
            .prop_map(|(i, j, c)| Mutation::Character(i, j, c)),
        3 => index().prop_map(Mutation::CutLine),
        3 => (index(), index()).prop_map(|(i, j)| Mutation::RepeatLine(i, j)),
        1 => index().prop_map(Mutation::Truncate),
        3 => (index(), index()).prop_map(|(i, j)| Mutation::SpliceWord(i, j)),
    ]
}

fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut lines: Vec<String> = text.split_terminator("\r\n").map(str::to_owned).collect();
    for mutation in mutations {
        if lines.is_empty() {
            break;
        }
        match mutation {
            Mutation::Character(place, column, with) => {
                let count = lines.len();
                let line = &mut lines[place.index(count)];
                let mut characters: Vec<char> = line.chars().collect();
                if !characters.is_empty() {
                    let at = column.index(characters.len());
                    characters[at] = *with;
                }
                *line = characters.into_iter().collect();
            }
            Mutation::CutLine(place) => {
                lines.remove(place.index(lines.len()));
            }
            Mutation::RepeatLine(from, to) => {
                let line = lines[from.index(lines.len())].clone();
                lines.insert(to.index(lines.len()), line);
            }
            Mutation::Truncate(place) => lines.truncate(place.index(lines.len()) + 1),
            Mutation::SpliceWord(from, to) => {
                let other = lines[from.index(lines.len())].clone();
                let to = to.index(lines.len());
                let line = &mut lines[to];
                let head = line.rsplit_once([' ', ':', ';']).map_or("", |(head, _)| head);
                let tail = other.rsplit([' ', ':', ';', '=']).next().unwrap_or_default();
                *line = format!("{head} {tail}");
            }
        }
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_offer_is_answered_soundly_or_refused(
        fixture in prop::sample::select(vec![NARROWED, SENDRECV, FIREFOX, PUBLISH, STOPPED]),
        mutations in prop::collection::vec(mutation(), 1..6),
        again in prop::collection::vec(mutation(), 1..4),
    ) {
        check(&mutate(fixture, &mutations), None);
        let (_, previous) = negotiate(fixture, None).unwrap();
        check(&mutate(fixture, &again), Some(&previous));
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in any::<String>(), lines in "(v=0\r\n|o=-\r\n|s=-\r\n|t=0 0\r\n|[a-z]=[ -~]{0,20}\r?\n){0,20}") {
        check(&text, None);
        check(&lines, None);
    }
}
