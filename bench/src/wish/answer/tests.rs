use super::*;

/// What the bench offers to who would publish.
const PUBLISH: &str = "v=0\r\no=- 7 7 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AA:BB\r\n\
    a=group:BUNDLE 0 1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\n\
    a=ice-ufrag:own\r\na=ice-pwd:ownpassword\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
    a=fmtp:97 apt=96\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=sendonly\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:1\r\na=ice-ufrag:own\r\n\
    a=ice-pwd:ownpassword\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=sendonly\r\n";

fn watch() -> String {
    PUBLISH.replace("a=sendonly", "a=recvonly")
}

/// As a server of the Pion family writes it: the session's fingerprint, a transport in each section, no extension, no RTX.
const PION: &str = "v=0\r\no=- 4215775240449105457 1700000000 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=msid-semantic:WMS*\r\n\
    a=fingerprint:sha-256 0F:74:31\r\na=extmap-allow-mixed\r\na=group:BUNDLE 0 1\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=setup:active\r\na=mid:0\r\na=ice-ufrag:uKHZ\r\n\
    a=ice-pwd:FRmvvvUQ\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
    a=rtcp-fb:96 nack pli\r\na=ssrc:2596996162 cname:pion\r\na=ssrc:2596996162 msid:pion video\r\na=msid:pion video\r\n\
    a=sendonly\r\na=candidate:3628985204 1 udp 2130706431 127.0.0.1 51003 typ host ufrag uKHZ\r\n\
    a=candidate:3628985204 2 udp 2130706431 127.0.0.1 51003 typ host ufrag uKHZ\r\na=end-of-candidates\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:active\r\na=mid:1\r\na=ice-ufrag:uKHZ\r\n\
    a=ice-pwd:FRmvvvUQ\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=ssrc:4294967 cname:pion\r\n\
    a=sendonly\r\n";

/// As GStreamer's webrtcbin does: all of it in each section, its own payload types, no SSRC where it sends.
const GSTREAMER: &str = "v=0\no=- 2784093 0 IN IP4 0.0.0.0\ns=-\nt=0 0\na=ice-options:trickle\na=group:BUNDLE 0 1\n\
    m=video 9 UDP/TLS/RTP/SAVPF 100 101\nc=IN IP4 0.0.0.0\na=ice-ufrag:Gs7\na=ice-pwd:gstpassword\na=rtcp-mux\n\
    a=setup:passive\na=rtpmap:100 VP8/90000\na=rtcp-fb:100 nack pli\na=rtpmap:101 rtx/90000\na=fmtp:101 apt=100\n\
    a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:mid\na=sendonly\na=mid:0\n\
    a=fingerprint:sha-256 9C:01\na=candidate:1 1 UDP 2015363327 127.0.0.1 40001 typ host\n\
    a=candidate:2 1 TCP 1015021823 127.0.0.1 9 typ host tcptype active\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 97\nc=IN IP4 0.0.0.0\na=ice-ufrag:Gs7\na=ice-pwd:gstpassword\na=rtcp-mux\n\
    a=setup:passive\na=rtpmap:97 OPUS/48000/2\na=sendonly\na=mid:1\na=fingerprint:sha-256 9C:01\n";

/// As an ICE-lite server does that says once for the session what holds for all sections, and names none.
const LITE: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n\
    a=ice-ufrag:lite\r\na=ice-pwd:litepassword\r\na=fingerprint:sha-1 11:22\r\na=fingerprint:sha-256 33:44\r\n\
    a=setup:passive\r\nm=video 7443 UDP/TLS/RTP/SAVPF 96 97\r\na=candidate:0 1 udp 1 127.0.0.1 7443 typ host\r\n\
    a=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
    m=audio 7443 UDP/TLS/RTP/SAVPF 111\r\na=candidate:0 1 udp 1 127.0.0.1 7443 typ host\r\na=recvonly\r\na=rtcp-mux\r\n\
    a=rtpmap:111 opus/48000/2\r\n";

fn taken(offer: &str, answer: &str) -> Answer {
    Answer::read(offer, answer).expect("it can be taken")
}

fn count(text: &str, line: &str) -> usize {
    text.lines().filter(|known| *known == line).count()
}

#[test]
fn what_pion_writes_is_taken() {
    let answer = taken(&watch(), PION);
    let text = &answer.description;
    assert_eq!(
        (count(text, "a=ice-ufrag:uKHZ"), count(text, "a=fingerprint:sha-256 0F:74:31")),
        (2, 2),
        "{text}"
    );
    assert_eq!((count(text, "a=setup:active"), count(text, "a=ice-lite")), (2, 0), "{text}");
    assert_eq!(count(text, "m=video 9 UDP/TLS/RTP/SAVPF 96"), 1, "no RTX where the server has none: {text}");
    assert!(!text.contains("extmap"), "{text}");
    assert_eq!(text.matches("a=candidate:").count(), 1, "RTCP has no port of its own: {text}");
    let [video, audio] = &answer.sections[..] else { panic!("{answer:?}") };
    assert_eq!((video.ssrc, video.rtx_ssrc, video.mid_extension), (Some(2_596_996_162), None, None));
    assert_eq!((audio.ssrc, audio.payload_type), (Some(4_294_967), Some(111)));
}

#[test]
fn what_gstreamer_writes_is_taken_with_payload_types_of_its_own() {
    let answer = taken(&watch(), GSTREAMER);
    let text = &answer.description;
    assert_eq!(
        count(text, "m=video 9 UDP/TLS/RTP/SAVPF 96 97"),
        1,
        "what the bench receives is what it offered: {text}"
    );
    assert_eq!(count(text, "a=rtpmap:111 opus/48000/2"), 1, "{text}");
    assert_eq!(count(text, "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:mid"), 1, "{text}");
    let [video, audio] = &answer.sections[..] else { panic!("{answer:?}") };
    assert_eq!((video.payload_type, video.rtx_payload_type, video.ssrc), (Some(100), Some(101), None));
    assert_eq!((audio.payload_type, audio.ssrc), (Some(97), None));
    // The stack wants an SSRC for each; they must differ.
    assert_eq!(
        (count(text, "a=ssrc:4294967040 cname:server"), count(text, "a=ssrc:4294967041 cname:server")),
        (1, 1),
        "{text}"
    );
    assert!(
        text.contains("127.0.0.1 40001 typ host") && text.contains("tcptype active"),
        "rules come later: {text}"
    );
}

#[test]
fn what_a_lite_server_says_once_holds_for_all_sections() {
    let answer = taken(PUBLISH, LITE);
    let text = &answer.description;
    assert_eq!((count(text, "a=ice-lite"), count(text, "a=ice-pwd:litepassword")), (1, 2), "{text}");
    assert_eq!(count(text, "a=fingerprint:sha-256 33:44"), 2, "the stronger of two: {text}");
    assert_eq!(text.matches("a=candidate:").count(), 1, "the same candidate is one: {text}");
    assert_eq!(
        (count(text, "a=mid:0"), count(text, "a=mid:1"), count(text, "a=recvonly")),
        (1, 1, 2),
        "{text}"
    );
    let mids: Vec<&str> = answer.sections.iter().map(|section| section.mid.as_str()).collect();
    assert_eq!(mids, ["0", "1"], "the offer's, since the server wrote none");
    assert!(!text.contains("a=ssrc"), "who receives announces none: {text}");
}

#[test]
fn who_says_nothing_of_setup_waits_and_of_direction_does_both() {
    let answer = LITE.replace("a=setup:passive\r\n", "").replace("a=recvonly\r\n", "");
    let text = taken(PUBLISH, &answer).description;
    assert_eq!((count(&text, "a=setup:passive"), count(&text, "a=recvonly")), (2, 2), "{text}");
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let h264 = LITE.replace("96 VP8", "96 H264");
    let cases: [(String, &str); 14] = [
        (h264.clone(), "the server answers video in H264, and the bench has VP8 only"),
        (
            h264.replace("m=video 7443", "m=video 0"),
            "the server answers video in H264, and the bench has VP8 only",
        ),
        (
            LITE.replace("opus/48000/2", "PCMU/8000"),
            "the server answers audio in PCMU, and the bench has Opus only",
        ),
        (LITE.replace("m=audio 7443", "m=audio 0"), "the server rejects audio in Opus"),
        (
            LITE.replace("m=video 7443", "m=video 0")
                .replace("a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n", ""),
            "the server rejects video in VP8",
        ),
        (
            LITE.replacen("a=recvonly", "a=inactive", 1),
            "the server answers video with a=inactive: it does not take it",
        ),
        (
            LITE.replace("a=recvonly", "a=sendonly"),
            "the server answers video with a=sendonly: it does not take it",
        ),
        (
            LITE.split("m=audio").next().unwrap_or_default().to_owned(),
            "the answer has 1 m-lines to the 2 of the offer",
        ),
        (
            LITE.replace("m=audio", "m=application"),
            "the answer's application m-line stands where the offer has audio",
        ),
        (LITE.replace("a=rtcp-mux\r\n", ""), "the answer has no a=rtcp-mux"),
        (
            LITE.replace("a=setup:passive", "a=setup:actpass"),
            "the answer says a=setup:actpass, which is no answer",
        ),
        (LITE.replace("a=ice-ufrag:lite\r\n", ""), "the answer has no a=ice-ufrag"),
        (LITE.replace("a=fingerprint:", "a=x:"), "the answer has no a=fingerprint"),
        (
            LITE.replacen("a=recvonly", "a=recvonly\r\na=ice-ufrag:x", 1).replacen(
                "a=candidate:0 1 udp 1 127.0.0.1 7443 typ host\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111",
                "a=ice-ufrag:y\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111",
                1,
            ),
            "the answer does not bundle: its sections have different transports",
        ),
    ];
    for (answer, reason) in cases {
        let error = Answer::read(PUBLISH, &answer).expect_err(reason);
        assert_eq!(error.to_string(), reason, "{answer}");
    }
    let error = Answer::read(&watch(), LITE).expect_err("nobody sends");
    assert_eq!(error.to_string(), "the server answers video with a=recvonly: it does not send it");
    assert!(Answer::read(PUBLISH, "").is_err());
}
