//! One rule at a time, on small offers.

use super::*;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
const ICE: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n";
const DIGEST: &str = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:\
                      10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:ff";

/// One audio m-line with `extra` lines, in a session without a group.
pub(super) fn audio(extra: &str) -> String {
    format!(
        "{HEAD}{ICE}a=fingerprint:sha-256 {DIGEST}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\n{extra}"
    )
}

/// One video m-line of the payload types and the lines.
pub(super) fn video(payload_types: &str, extra: &str) -> String {
    format!(
        "{HEAD}{ICE}a=fingerprint:sha-256 {DIGEST}\r\nm=video 9 UDP/TLS/RTP/SAVPF {payload_types}\r\na=mid:v\r\n\
         a=rtcp-mux\r\n{extra}"
    )
}

fn malformed(text: &str) -> &'static str {
    match negotiate(text, None) {
        Err(OfferError::Malformed { reason }) => reason,
        other => panic!("{other:?}\n{text}"),
    }
}

fn unsupported(text: &str) -> &'static str {
    match negotiate(text, None) {
        Err(OfferError::Unsupported { reason }) => reason,
        other => panic!("{other:?}\n{text}"),
    }
}

#[test]
fn the_whole_answer_to_one_m_line() {
    let (answer, negotiated) = negotiate(&audio("a=setup:actpass\r\na=sendonly\r\n"), None).unwrap();
    let expected = [
        "v=0",
        "o=- 7 3 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        "a=msid-semantic:WMS *",
        "m=audio 40000 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 192.0.2.1",
        "a=mid:a",
        "a=ice-ufrag:ours",
        "a=ice-pwd:oursoursoursoursoursours",
        &fingerprint_line(),
        "a=setup:passive",
        // 126 * 2^24 + preference * 2^8 + 255 (RFC 8445 section 5.1.2.1)
        "a=candidate:0 1 udp 2130706431 192.0.2.1 40000 typ host",
        "a=candidate:1 1 udp 2130706175 2001:db8::1 40000 typ host",
        "a=end-of-candidates",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
    ];
    assert_eq!(answer.split_terminator("\r\n").collect::<Vec<_>>(), expected);
    let mut digest: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());
    digest[31] = 0xff;
    assert_eq!(negotiated.fingerprint, Fingerprint(digest));
}

#[test]
fn the_connection_needs_credentials_a_certificate_and_a_role() {
    let good = audio("");
    for (from, to, expected) in [
        ("a=ice-ufrag:abcd\r\n", "", "there is no a=ice-ufrag line"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abc", "the a=ice-ufrag line has no 4 to 256 valid characters"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab:cd", "the a=ice-ufrag line has no 4 to 256 valid characters"),
        ("a=ice-pwd:abcdefghijklmnopqrstuv\r\n", "", "there is no a=ice-pwd line"),
        ("opqrstuv", "opqrstu", "the a=ice-pwd line has no 22 to 256 valid characters"),
        ("00:01", "0:001", "the fingerprint is not 32 bytes in hexadecimal"),
        ("00:01", "01", "the fingerprint is not 32 bytes in hexadecimal"),
        ("00:01", "00:00:01", "the fingerprint is not 32 bytes in hexadecimal"),
        ("00:01", "+0:01", "the fingerprint is not 32 bytes in hexadecimal"),
    ] {
        assert!(good.contains(from));
        assert_eq!(malformed(&good.replace(from, to)), expected);
    }
    assert_eq!(unsupported(&good.replace("sha-256", "sha-1")), "no fingerprint is of the hash sha-256");
    assert_eq!(unsupported(&good.replace("a=fingerprint", "a=x")), "there is no a=fingerprint line");
    assert_eq!(unsupported(&good.replace("t=0 0", "t=0 0\r\na=ice-lite")), "both sides are ICE-lite");
    assert_eq!(unsupported(&good.replace("a=rtcp-mux\r\n", "")), "a=rtcp-mux is missing");
    for (line, role, answered) in [
        ("a=setup:actpass\r\n", DtlsRole::Server, "a=setup:passive\r\n"),
        ("a=setup:active\r\n", DtlsRole::Server, "a=setup:passive\r\n"),
        ("", DtlsRole::Server, "a=setup:passive\r\n"),
        ("a=setup:passive\r\n", DtlsRole::Client, "a=setup:active\r\n"),
    ] {
        let (answer, negotiated) = negotiate(&audio(line), None).unwrap();
        assert_eq!(negotiated.dtls_role, role);
        assert!(answer.contains(answered));
    }
    assert_eq!(unsupported(&audio("a=setup:holdconn\r\n")), "setup:holdconn is not for DTLS");
    assert_eq!(malformed(&audio("a=setup:x\r\n")), "the a=setup line has no valid role");
}

#[test]
fn the_m_line_speaks_before_the_session() {
    let other = ["EE"; 32].join(":");
    let lines = format!("a=ice-ufrag:inner\r\na=fingerprint:sha-256 {other}\r\na=setup:passive\r\n");
    let text = audio(&lines).replace("t=0 0\r\n", "t=0 0\r\na=setup:active\r\n");
    let (_, negotiated) = negotiate(&text, None).unwrap();
    assert_eq!(
        (negotiated.ice.ufrag.as_str(), negotiated.ice.pwd.as_str()),
        ("inner", "abcdefghijklmnopqrstuv")
    );
    assert_eq!(negotiated.fingerprint, Fingerprint([0xee; 32]));
    assert_eq!(negotiated.dtls_role, DtlsRole::Client);
}

#[test]
fn ice_credentials_hold_to_the_character() {
    for (len, fits) in [(3, false), (4, true), (5, true), (255, true), (256, true), (257, false)] {
        let text = audio("").replace("a=ice-ufrag:abcd", &format!("a=ice-ufrag:{}", "u".repeat(len)));
        assert_eq!(negotiate(&text, None).is_ok(), fits, "ufrag of {len}");
    }
    for (len, fits) in [(21, false), (22, true), (23, true), (255, true), (256, true), (257, false)] {
        let text = audio("").replace("abcdefghijklmnopqrstuv", &"p".repeat(len));
        assert_eq!(negotiate(&text, None).is_ok(), fits, "pwd of {len}");
    }
}

#[test]
fn every_m_line_in_use_is_in_one_bundle() {
    let two = NARROWED;
    assert_eq!(
        unsupported(&two.replace("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1")),
        "an m-line is outside the BUNDLE group"
    );
    assert_eq!(
        unsupported(&two.replace("a=group:BUNDLE 0 1 2\r\n", "")),
        "several m-lines need a BUNDLE group"
    );
    assert_eq!(
        unsupported(&two.replace("BUNDLE 0 1 2", "BUNDLE 0 1\r\na=group:BUNDLE 2")),
        "there is more than one BUNDLE group"
    );
    assert_eq!(malformed(&two.replace("BUNDLE 0 1 2", "BUNDLE 0 1 0")), "the BUNDLE group names a mid twice");
    assert_eq!(malformed(&two.replace("a=mid:1", "a=mid:0")), "two m-lines have the same mid");
    assert_eq!(unsupported(&two.replace("a=mid:1\r\n", "")), "an m-line has no mid");
    assert_eq!(
        malformed(&two.replace("a=mid:1", "a=mid:12345678901234567")),
        "a mid is not a token of at most 16 characters"
    );
    let all_stopped = two.replace("m=video 9", "m=video 0").replace("m=audio 9", "m=audio 0");
    assert_eq!(unsupported(&all_stopped), "there is no m-line that is not stopped");
}

#[test]
fn the_bundles_order_says_where_the_transport_is() {
    let turned = NARROWED.replace("BUNDLE 0 1 2", "BUNDLE 2 1 0");
    let (answer, _) = negotiate(&turned, None).unwrap();
    assert!(answer.contains("a=group:BUNDLE 2 1 0\r\n"));
    let with_candidates: Vec<_> =
        (0..3).filter(|index| section(&answer, *index).contains(&"a=end-of-candidates")).collect();
    assert_eq!(with_candidates, [2]);
}

#[test]
fn port_0_means_stopped_unless_bundle_only() {
    let stopped = NARROWED.replacen("m=video 9", "m=video 0", 1);
    let (answer, negotiated) = negotiate(&stopped, None).unwrap();
    assert_eq!(*flow(&negotiated, "0"), Flow::Nothing);
    assert_eq!(
        section(&answer, 0),
        ["m=video 0 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:0", "a=inactive"]
    );
    assert!(answer.contains("a=group:BUNDLE 1 2\r\n"));
    let bundle_only = stopped.replacen("a=mid:0\r\n", "a=mid:0\r\na=bundle-only\r\n", 1);
    let (_, negotiated) = negotiate(&bundle_only, None).unwrap();
    assert_eq!(*flow(&negotiated, "0"), Flow::Send(slot(mid("0"), Kind::Video)));
    let nameless = stopped.replacen("a=mid:0\r\n", "", 1);
    let (answer, negotiated) = negotiate(&nameless, None).unwrap();
    assert_eq!(negotiated.media.len(), 2);
    assert!(section(&answer, 0)[0].starts_with("m=video 0 "));
}

#[test]
fn what_is_not_served_is_rejected_in_its_place() {
    for (from, to) in [
        ("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP"),
        ("opus/48000/2", "opus/48000"),
        ("opus/48000/2", "opus/8000/2"),
        ("opus/48000/2", "PCMU/8000"),
        ("m=audio", "m=text"),
    ] {
        let (answer, _) = negotiate(&NARROWED.replace(from, to), None).unwrap();
        assert!(section(&answer, 2)[0].contains(" 0 "), "{to}");
        assert!(answer.contains("a=group:BUNDLE 0 1\r\n"));
    }
    let (answer, negotiated) = negotiate(&PUBLISH.replace("UDP/DTLS/SCTP", "TCP/DTLS/SCTP"), None).unwrap();
    assert!(!negotiated.data);
    assert_eq!(section(&answer, 10)[0], "m=application 0 TCP/DTLS/SCTP webrtc-datachannel");
    assert_eq!(
        unsupported(&audio("").replace("opus", "G722")),
        "no m-line has a codec or protocol that is served"
    );
    assert_eq!(
        unsupported(&PUBLISH.replace("sctp-port:5000", "sctp-port:5001")),
        "the SCTP port is not 5000"
    );
}

#[test]
fn the_direction_says_what_flows() {
    for (line, answered) in [
        ("a=sendonly\r\n", "a=recvonly"),
        ("a=sendrecv\r\n", "a=recvonly"),
        ("", "a=recvonly"),
        ("a=recvonly\r\n", "a=sendonly"),
        ("a=inactive\r\n", "a=inactive"),
    ] {
        let (answer, negotiated) = negotiate(&audio(line), None).unwrap();
        assert!(section(&answer, 0).contains(&answered), "{line}");
        assert_eq!(negotiated.media[0].codecs.len(), 1);
        let expected = match answered {
            "a=recvonly" => Flow::Receive { rids: Vec::new(), ssrcs: Vec::new() },
            "a=sendonly" => Flow::Send(slot(mid("a"), Kind::Audio)),
            _ => Flow::Nothing,
        };
        assert_eq!(negotiated.media[0].flow, expected);
    }
    let of_session = audio("").replace("t=0 0", "t=0 0\r\na=recvonly");
    assert!(matches!(negotiate(&of_session, None).unwrap().1.media[0].flow, Flow::Send(_)));
    assert_eq!(malformed(&audio("a=sendonly\r\na=recvonly\r\n")), "a section has two directions");
}

#[test]
fn codecs_are_ours_in_the_clients_order_each_once() {
    let parameters = |payload_types: &str, extra: &str| -> Vec<(u8, Option<u8>, String)> {
        let (_, negotiated) = negotiate(&video(payload_types, extra), None).unwrap();
        let codecs = negotiated.media.into_iter().flat_map(|line| line.codecs);
        codecs.map(|c| (c.payload_type, c.rtx_payload_type, c.parameters)).collect()
    };
    let h264 = "a=rtpmap:100 H264/90000\r\na=fmtp:100 Packetization-Mode=1; profile-level-id=42E01f;x=y\r\n\
                a=rtpmap:101 h264/90000\r\na=fmtp:101 packetization-mode=0\r\na=rtpmap:102 H264/90000\r\n";
    assert_eq!(
        parameters("102 101 100", h264),
        [(100, None, "packetization-mode=1;profile-level-id=42E01f".to_owned())]
    );
    let vp9 = "a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=2\r\na=rtpmap:99 VP9/90000\r\na=rtpmap:100 VP9/90000\r\n\
               a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=100\r\na=rtpmap:96 rtx/90000\r\na=fmtp:96 apt=99\r\n\
               a=rtpmap:70 VP8/90000\r\na=rtpmap:95 rtx/90000\r\na=fmtp:95 apt=99\r\n";
    // 70 and 95 would be taken for RTCP.
    assert_eq!(parameters("95 70 98 99 100 97 96", vp9), [(99, Some(96), String::new())]);

    assert_eq!(
        malformed(&video("98 98", "a=rtpmap:98 VP8/90000\r\n")),
        "an m-line lists a payload type twice"
    );
    for listed in ["128", "x", "256"] {
        assert_eq!(malformed(&video(listed, "")), "an RTP m-line lists something other than payload types");
    }
    assert_eq!(
        malformed(&video("98", "a=rtpmap:128 VP8/90000\r\n")),
        "an rtpmap, fmtp or rtcp-fb line has no valid payload type"
    );
}

#[test]
fn feedback_is_what_was_offered_of_five() {
    let with = |feedback: &str| {
        let extmap =
            "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
        let text = video("98", &format!("a=rtpmap:98 VP8/90000\r\n{extmap}{feedback}"));
        let (answer, negotiated) = negotiate(&text, None).unwrap();
        let codec = negotiated.media[0].codecs[0].clone();
        (answer.matches("a=rtcp-fb:98 ").count(), codec.nack, codec.pli, codec.transport_cc)
    };
    assert_eq!(with(""), (0, false, false, false));
    assert_eq!(with("a=rtcp-fb:98 nack pli\r\n"), (1, false, true, false));
    assert_eq!(with("a=rtcp-fb:* nack\r\na=rtcp-fb:98 ccm fir\r\n"), (2, true, false, false));
    assert_eq!(with("a=rtcp-fb:98 goog-remb\r\na=rtcp-fb:98 transport-cc\r\n"), (1, false, false, true));
    let remb = |lines: &str| {
        let text = video("98", &format!("a=rtpmap:98 VP8/90000\r\na=rtcp-fb:98 goog-remb\r\n{lines}"));
        negotiate(&text, None).unwrap().0.contains("a=rtcp-fb:98 goog-remb\r\n")
    };
    assert!(remb("a=recvonly\r\n") && !remb("a=sendonly\r\n"), "of what we send");
    assert!(remb("a=recvonly\r\na=rtcp-fb:98 transport-cc\r\n"), "feedback without its extension is none");
    let without_extension = video("98", "a=rtpmap:98 VP8/90000\r\na=rtcp-fb:98 transport-cc\r\n");
    assert!(!negotiate(&without_extension, None).unwrap().0.contains("transport-cc"));
}

#[test]
fn the_dependency_descriptor_needs_leave_to_mix_extension_forms() {
    let uri = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
    for direction in ["sendonly", "recvonly"] {
        let lines = format!("a=rtpmap:98 VP8/90000\r\na={direction}\r\na=extmap:7 {uri}\r\n");
        let plain = video("98", &lines);
        let mixed = plain.replace("m=video", "a=extmap-allow-mixed\r\nm=video");
        for (text, agreed) in [(plain, None), (mixed, Some(7))] {
            let (answer, negotiated) = negotiate(&text, None).unwrap();
            assert_eq!(negotiated.media[0].extensions.dependency, agreed, "{direction}");
            assert_eq!(answer.contains(uri), agreed.is_some());
        }
    }
}

#[test]
fn a_playout_delay_is_told_and_never_taken() {
    let uri = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    for (direction, suffix, agreed) in [
        ("recvonly", "", Some(7)),
        ("recvonly", "/recvonly", Some(7)),
        ("recvonly", "/sendonly", None),
        ("sendonly", "", None),
        ("sendonly", "/recvonly", None),
    ] {
        let lines = format!("a=rtpmap:98 VP8/90000\r\na={direction}\r\na=extmap:7{suffix} {uri}\r\n");
        let (answer, negotiated) = negotiate(&video("98", &lines), None).unwrap();
        assert_eq!(negotiated.media[0].extensions.playout_delay, agreed, "{direction} {suffix}");
        assert_eq!(answer.contains(uri), agreed.is_some());
    }
}

#[test]
fn redundant_audio_is_agreed_on_where_it_is_preferred() {
    let with = |payload_types: &str, red: &str| {
        let lines = format!("a=rtpmap:63 {red}\r\n");
        let text = audio(&lines).replace("SAVPF 111", &format!("SAVPF {payload_types}"));
        let (answer, negotiated) = negotiate(&text, None).unwrap();
        assert_eq!(negotiated.media[0].codecs.len(), 1);
        let said =
            answer.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:111 opus/48000/2\r\n");
        let listed = answer.contains("SAVPF 63 111\r\n");
        let agreed = negotiated.media[0].codecs[0].red_payload_type;
        assert_eq!(
            (said, listed, answer.contains("red")),
            match agreed {
                Some(63) => (true, true, true),
                _ => (false, false, false),
            }
        );
        agreed
    };
    assert_eq!(with("63 111", "red/48000/2\r\na=fmtp:63 111/111"), Some(63));
    assert_eq!(with("63 111", "RED/48000/2\r\na=fmtp:63 111/111/111"), Some(63));
    // What browsers offer unasked.
    assert_eq!(with("111 63", "red/48000/2\r\na=fmtp:63 111/111"), None);
    for other in [
        "111",
        "111/0",
        "0/0",
        "111/",
        "63/63",
        "111/111 ",
        "x",
        "111/111/111/111/111/111/111/111/111/111/111",
    ] {
        let expected = (other == "111/111 ").then_some(63);
        assert_eq!(with("63 111", &format!("red/48000/2\r\na=fmtp:63 {other}")), expected, "{other:?}");
    }
    for other in ["red/48000/2", "red/48000\r\na=fmtp:63 111/111", "red/8000/2\r\na=fmtp:63 111/111"] {
        assert_eq!(with("63 111", other), None, "{other}");
    }
}

#[test]
fn opus_says_what_the_client_said() {
    let (_, negotiated) =
        negotiate(&audio("a=fmtp:111 useinbandfec=0;minptime=20;usedtx=1;foo=1\r\n"), None).unwrap();
    assert_eq!(negotiated.media[0].codecs[0].parameters, "minptime=20;useinbandfec=0;usedtx=1");
    let (_, negotiated) = negotiate(&audio("a=fmtp:111 minptime=x y;stereo=123456\r\n"), None).unwrap();
    assert_eq!(negotiated.media[0].codecs[0].parameters, "minptime=10;useinbandfec=1");
}

#[test]
fn extension_ids_are_one_byte_ids_with_one_meaning() {
    for (id, agreed) in [("0", None), ("1", Some(1)), ("14", Some(14)), ("15", None), ("4096", None)] {
        let text = audio(&format!("a=extmap:{id} urn:ietf:params:rtp-hdrext:sdes:mid\r\n"));
        let (answer, negotiated) = negotiate(&text, None).unwrap();
        assert_eq!(negotiated.media[0].extensions.mid, agreed, "{id}");
        assert_eq!(answer.contains("a=extmap:"), agreed.is_some());
    }
    for (suffix, sending, receiving) in
        [("", true, true), ("/sendrecv", true, true), ("/sendonly", true, false), ("/recvonly", false, true)]
    {
        for (direction, agreed) in [("sendonly", sending), ("recvonly", receiving)] {
            let extmap = format!("a=extmap:2{suffix} urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on\r\n");
            let (_, negotiated) = negotiate(&audio(&format!("a={direction}\r\n{extmap}")), None).unwrap();
            assert_eq!(negotiated.media[0].extensions.audio_level.is_some(), agreed, "{suffix} {direction}");
        }
    }
    let (mid_uri, rid_uri) =
        ("9 urn:ietf:params:rtp-hdrext:sdes:mid", "9 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
    let crossed = NARROWED.replacen(mid_uri, rid_uri, 1);
    assert_eq!(malformed(&crossed), "one extension id means different extensions on two m-lines");
    assert_eq!(malformed(&audio("a=extmap:2/x urn:x\r\n")), "an a=extmap line has no valid direction");
    assert_eq!(malformed(&audio("a=extmap:2\r\n")), "an a=extmap line names no extension");
}

#[test]
fn simulcast_is_read_as_rids() {
    let extmap = "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
    let with = |extra: &str| {
        let text = video("98", &format!("a=rtpmap:98 VP8/90000\r\n{extra}"));
        let (answer, negotiated) = negotiate(&text, None).unwrap();
        let Flow::Receive { rids, .. } = &negotiated.media[0].flow else { panic!("{negotiated:?}") };
        let simulcast = answer.lines().find_map(|line| line.strip_prefix("a=simulcast:recv "));
        (rids.clone(), simulcast.map(str::to_owned))
    };
    let declared = "a=rid:a send pt=98;max-width=1\r\na=rid:b send\r\na=rid:c send\r\na=rid:d recv\r\n";
    let list = |list: &str| with(&format!("{extmap}{declared}a=simulcast:{list}\r\n"));
    assert_eq!(list("send a;b;c"), (rids(&["a", "b", "c"]), Some("a;b;c".to_owned())));
    assert_eq!(list("recv d send ~c;b,a"), (rids(&["c", "b"]), Some("c;b".to_owned())));
    assert_eq!(list("send a;x;a;d"), (rids(&["a"]), Some("a".to_owned())));
    assert_eq!(list("recv d"), (Vec::new(), None));
    // Without the extension a stream could not be told from another.
    assert_eq!(with(&format!("{declared}a=simulcast:send a;b\r\n")), (Vec::new(), None));
    // A lone rid without a simulcast names the one stream there is.
    assert_eq!(with(&format!("{extmap}a=rid:a send\r\n")), (rids(&["a"]), None));
    for (line, expected) in [
        ("a=rid:a\r\n", "an a=rid line has no direction"),
        ("a=rid:a both\r\n", "an a=rid line has no direction"),
        ("a=rid:a.b send\r\n", "an a=rid line has no valid id of at most 16 characters"),
        ("a=rid:12345678901234567 send\r\n", "an a=rid line has no valid id of at most 16 characters"),
        ("a=rid:a send\r\na=rid:a send\r\n", "a rid is declared twice"),
        ("a=simulcast:send\r\n", "an a=simulcast line has a direction without rids"),
        ("a=simulcast:send a send b\r\n", "an a=simulcast line has no valid direction"),
        ("a=simulcast:send a;;b\r\n", "an a=simulcast line lists no valid rids"),
        ("a=simulcast:send a\r\na=simulcast:send a\r\n", "an m-line has two a=simulcast lines"),
    ] {
        assert_eq!(malformed(&video("98", &format!("a=rtpmap:98 VP8/90000\r\n{line}"))), expected);
    }
}

#[test]
fn ssrcs_come_with_their_retransmissions() {
    let with = |extra: &str| {
        let (_, negotiated) =
            negotiate(&video("98", &format!("a=rtpmap:98 VP8/90000\r\n{extra}")), None).unwrap();
        let Flow::Receive { ssrcs, .. } = negotiated.media[0].flow.clone() else { panic!("{negotiated:?}") };
        ssrcs.into_iter().map(|(ssrc, rtx)| (ssrc.0, rtx.map(|rtx| rtx.0))).collect::<Vec<_>>()
    };
    let lines = "a=ssrc:1 cname:x\r\na=ssrc:1 msid:x y\r\na=ssrc:2 cname:x\r\na=ssrc:3 cname:x\r\n";
    assert_eq!(with(&format!("a=ssrc-group:FID 1 2\r\n{lines}")), [(1, Some(2)), (3, None)]);
    assert_eq!(with(&format!("a=ssrc-group:FEC-FR 1 2\r\n{lines}")), [(1, None), (3, None)]);
    assert_eq!(with(&format!("a=ssrc-group:SIM 1 2 3\r\n{lines}")), [(1, None), (2, None), (3, None)]);
    for (line, expected) in [
        ("a=ssrc:x cname:x\r\n", "an a=ssrc line has no valid SSRC"),
        ("a=ssrc:4294967296 cname:x\r\n", "an a=ssrc line has no valid SSRC"),
        ("a=ssrc-group:FID 1\r\n", "an a=ssrc-group line does not pair two SSRCs"),
        ("a=ssrc-group:FID 1 2 3\r\n", "an a=ssrc-group line does not pair two SSRCs"),
    ] {
        assert_eq!(malformed(&video("98", &format!("a=rtpmap:98 VP8/90000\r\n{line}"))), expected);
    }
    let text = SENDRECV;
    let ssrcs: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next()).collect();
    let (first, last) = (ssrcs[0], ssrcs[ssrcs.len() - 1]);
    assert_ne!(first, last);
    let twice = text.replace(&format!("a=ssrc:{last} "), &format!("a=ssrc:{first} "));
    assert_eq!(malformed(&twice), "one SSRC is announced for two streams");
}
