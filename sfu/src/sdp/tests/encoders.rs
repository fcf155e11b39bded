//! Offers of clients that are no browser, as WHIP brings them: recorded from aiortc 1.16 and GStreamer 1.22, after their habits from the others.

use super::*;

const AIORTC: &str = include_str!("../fixtures/aiortc_publish.sdp");
const FFMPEG: &str = include_str!("../fixtures/ffmpeg_whip.sdp");
const OBS: &str = include_str!("../fixtures/obs_whip.sdp");
const WEBRTCBIN: &str = include_str!("../fixtures/gstreamer_webrtcbin.sdp");
const GSTREAMER: &str = include_str!("../fixtures/gstreamer_whip.sdp");

fn one_stream(ssrc: u32, repair: Option<u32>) -> Flow {
    Flow::Receive { rids: Vec::new(), ssrcs: vec![(Ssrc(ssrc), repair.map(Ssrc))] }
}

fn codecs(negotiated: &Negotiated, name: &str) -> Vec<(Codec, u8, Option<u8>)> {
    let line = negotiated.media.iter().find(|line| line.mid == mid(name)).unwrap();
    line.codecs.iter().map(|codec| (codec.codec, codec.payload_type, codec.rtx_payload_type)).collect()
}

#[test]
fn aiortc_repeats_the_transport_on_each_m_line() {
    let (answer, negotiated) = negotiate(AIORTC, None).unwrap();
    assert_eq!(negotiated.dtls_role, DtlsRole::Server);
    assert_eq!(*flow(&negotiated, "0"), one_stream(4_175_977_844, None));
    assert_eq!(*flow(&negotiated, "1"), one_stream(437_992_572, Some(486_743_178)));
    assert_eq!(codecs(&negotiated, "0"), [(Codec::Opus, 96, None)]);
    assert_eq!(
        codecs(&negotiated, "1"),
        [(Codec::Vp8, 97, Some(98)), (Codec::H264, 99, Some(100)), (Codec::H264, 101, Some(102))]
    );
    // And takes no answer that does not.
    assert_eq!(answer.matches("a=ice-ufrag:ours\r\n").count(), 2);
    assert_eq!(answer.matches("a=setup:passive\r\n").count(), 2);
    assert_eq!(answer.matches("a=end-of-candidates\r\n").count(), 1);
}

#[test]
fn ffmpeg_waits_for_our_handshake() {
    let (answer, negotiated) = negotiate(FFMPEG, None).unwrap();
    assert_eq!(negotiated.dtls_role, DtlsRole::Client);
    assert!(answer.contains("a=setup:active\r\n"));
    assert_eq!(*flow(&negotiated, "0"), one_stream(2_876_310_213, None));
    assert_eq!(*flow(&negotiated, "1"), one_stream(1_723_341_022, Some(1_723_341_023)));
    assert_eq!(codecs(&negotiated, "1"), [(Codec::H264, 106, Some(105))]);
}

#[test]
fn obs_says_it_once_for_the_session() {
    let (_, negotiated) = negotiate(OBS, None).unwrap();
    assert_eq!((negotiated.ice.ufrag.as_str(), negotiated.dtls_role), ("jBob", DtlsRole::Server));
    assert_eq!(*flow(&negotiated, "0"), one_stream(1_777_348_123, None));
    assert_eq!(*flow(&negotiated, "1"), one_stream(1_777_348_124, None));
    let camera = &negotiated.media[1];
    assert!(camera.codecs.iter().all(|codec| codec.nack && codec.pli && !codec.transport_cc));
    assert_eq!(camera.extensions, Extensions::default());
}

#[test]
fn webrtcbin_means_sendonly_and_stands_behind_the_first_m_line() {
    let (answer, negotiated) = negotiate(WEBRTCBIN, None).unwrap();
    assert_eq!(*flow(&negotiated, "video0"), one_stream(98_690_222, None));
    assert_eq!(*flow(&negotiated, "audio1"), one_stream(2_167_216_104, None));
    assert_eq!(codecs(&negotiated, "video0"), [(Codec::Vp8, 96, None)]);
    assert_eq!(codecs(&negotiated, "audio1"), [(Codec::Opus, 97, None)]);
    assert_eq!(answer.matches("a=recvonly\r\n").count(), 2);
    assert!(section(&answer, 1)[0].starts_with("m=audio 40000 "), "bundle-only is not stopped");
}

#[test]
fn gstreamer_has_credentials_of_its_own_on_each_m_line_and_bare_h264() {
    let (answer, negotiated) = negotiate(GSTREAMER, None).unwrap();
    assert_eq!(negotiated.ice.ufrag, "QPSUE4uHmBjGQYe9HrVOwbChfoDcYnwM");
    assert_eq!(*flow(&negotiated, "video0"), one_stream(3_484_078_953, None));
    assert_eq!(*flow(&negotiated, "audio1"), one_stream(2_243_168_177, None));
    assert_eq!(codecs(&negotiated, "video0"), [(Codec::H264, 96, None)]);
    assert!(answer.contains("a=group:BUNDLE video0 audio1\r\n"));
    assert!(section(&answer, 1).contains(&"a=recvonly"), "sendrecv is taken for what it means");
    assert!(!answer.contains("a=fmtp:96"), "nothing is agreed that was not offered");
}

#[test]
fn h264_that_names_no_mode_is_for_sending_and_without_a_better_one_only() {
    let lines = "a=rtpmap:96 H264/90000\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=1\r\n";
    let payload_types = |types: &str, direction: &str| -> Vec<u8> {
        let text = rules::video(types, &format!("{lines}a=rtpmap:98 VP8/90000\r\n{direction}"));
        let (_, negotiated) = negotiate(&text, None).unwrap();
        negotiated.media[0].codecs.iter().map(|codec| codec.payload_type).collect()
    };
    assert_eq!(payload_types("96 98", "a=sendonly\r\n"), [96, 98]);
    assert_eq!(payload_types("96 98", "a=recvonly\r\n"), [98]);
    assert_eq!(payload_types("96 97 98", "a=sendonly\r\n"), [97, 98]);
    let silent = rules::video("96", "a=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42c01f\r\n");
    let (_, negotiated) = negotiate(&silent, None).unwrap();
    assert_eq!(negotiated.media[0].codecs[0].parameters, "profile-level-id=42c01f");
}

#[test]
fn the_only_m_line_needs_no_name() {
    let nameless = rules::audio("a=sendonly\r\n").replace("a=mid:a\r\n", "");
    let (answer, negotiated) = negotiate(&nameless, None).unwrap();
    assert_eq!(*flow(&negotiated, "0"), Flow::Receive { rids: Vec::new(), ssrcs: Vec::new() });
    assert!(!answer.contains("a=mid") && !answer.contains("a=group"));
    assert!(answer.contains("a=ice-ufrag:ours\r\n"));
    negotiate(&nameless, Some(&negotiated)).unwrap();
    for (grouped, reason) in [
        (nameless.replace("t=0 0", "t=0 0\r\na=group:BUNDLE 0"), "an m-line has no mid"),
        (
            format!("{nameless}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n"),
            "an m-line has no mid",
        ),
    ] {
        assert_eq!(negotiate(&grouped, None).unwrap_err(), OfferError::Unsupported { reason });
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    for (from, to, reason) in [
        ("a=rtcp-mux\n", "", "a=rtcp-mux is missing"),
        ("a=group:BUNDLE 0 1\n", "", "several m-lines need a BUNDLE group"),
        ("t=0 0\n", "t=0 0\na=ice-lite\n", "both sides are ICE-lite"),
    ] {
        assert!(OBS.contains(from));
        let changed = OBS.replace(from, to);
        assert_eq!(negotiate(&changed, None).unwrap_err(), OfferError::Unsupported { reason });
    }
}

mod fragments {
    use super::*;

    const RESTART: &str = "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                           a=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
                           a=candidate:1 1 udp 2130706431 198.51.100.1 39132 typ host\r\na=end-of-candidates\r\n";

    fn parse(text: &str) -> Result<Option<String>, OfferError> {
        Ok(Fragment::parse(text, &Limits::default())?.ice().map(|ice| ice.ufrag.clone()))
    }

    #[test]
    fn credentials_stand_on_either_level_or_are_left_out() {
        assert_eq!(parse(RESTART), Ok(Some("EsAw".to_owned())));
        let of_session = "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n";
        assert_eq!(parse(of_session), Ok(Some("EsAw".to_owned())));
        assert_eq!(parse("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for text in [
            "",
            "hello",
            "a=ice-ufrag:EsAw\r\n",
            "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
            "m=audio 9\r\n",
            "a=ice-ufrag:x y\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n",
        ] {
            assert!(matches!(parse(text), Err(OfferError::Malformed { .. })), "{text:?}");
        }
        let limits = Limits { media_lines: 1, offer_bytes: 60, ..Limits::default() };
        let of = |text: &str| Fragment::parse(text, &limits).unwrap_err();
        assert_eq!(of(&"m=audio 9 RTP/AVP 0\r\n".repeat(2)), OfferError::TooManyLines { limit: 1 });
        assert_eq!(of(&"m=audio 9 RTP/AVP 0\r\n".repeat(3)), OfferError::TooLarge { limit: 60 });
    }

    #[test]
    fn the_answer_is_a_fragment_with_our_credentials() {
        let (_, negotiated) = negotiate(OBS, None).unwrap();
        let ice = IceCredentials { ufrag: "anew".to_owned(), pwd: "anewanewanewanewanewanew".to_owned() };
        let text = write_fragment(&negotiated, &ice, &["192.0.2.1:40000".parse().unwrap()]);
        assert_eq!(
            text.split_terminator("\r\n").collect::<Vec<_>>(),
            [
                "a=ice-lite",
                "m=audio 9 RTP/AVP 0",
                "a=mid:0",
                "a=ice-ufrag:anew",
                "a=ice-pwd:anewanewanewanewanewanew",
                "a=candidate:0 1 udp 2130706431 192.0.2.1 40000 typ host",
                "a=end-of-candidates",
            ]
        );
        assert_eq!(parse(&text), Err(OfferError::Unsupported { reason: "both sides are ICE-lite" }));
    }
}
