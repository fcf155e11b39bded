//! Offers as clients make them: Chromium recorded, Firefox after its habits, and the `rtc` crate live.

use std::time::Instant;

use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::RTCPeerConnectionBuilder;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::rtp_transceiver::RTCRtpTransceiverDirection;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};

use super::*;

#[test]
fn chromium_publishes_simulcast_and_offers_slots() {
    let (answer, negotiated) = negotiate(PUBLISH, None).unwrap();
    assert_eq!(negotiated.dtls_role, DtlsRole::Server);
    assert!(negotiated.data);
    assert_eq!(negotiated.media.len(), 10);
    let Flow::Receive { rids: none, ssrcs } = flow(&negotiated, "0") else { panic!("{negotiated:?}") };
    assert!(none.is_empty() && ssrcs.len() == 1 && ssrcs[0].1.is_none());
    let camera = &negotiated.media[1];
    assert_eq!(camera.flow, Flow::Receive { rids: rids(&["q", "h", "f"]), ssrcs: Vec::new() });
    let codecs: Vec<_> =
        camera.codecs.iter().map(|c| (c.codec, c.payload_type, c.rtx_payload_type)).collect();
    assert_eq!(
        codecs,
        [
            (Codec::Vp8, 96, Some(97)),
            (Codec::H264, 102, Some(103)),
            (Codec::H264, 108, Some(109)),
            (Codec::H264, 116, Some(117)),
            (Codec::Av1, 45, Some(46)),
            (Codec::Vp9, 98, Some(99)),
        ]
    );
    assert!(camera.codecs.iter().all(|codec| codec.nack && codec.pli && codec.transport_cc));
    let expected = Extensions {
        mid: Some(4),
        rid: Some(10),
        repaired_rid: Some(11),
        transport_cc: Some(3),
        dependency: Some(12),
        ..Extensions::default()
    };
    assert_eq!(camera.extensions, expected);
    for line in &negotiated.media[2..] {
        assert_eq!(line.flow, Flow::Send(slot(line.mid, line.kind)));
        assert!(line.codecs.iter().all(|codec| codec.transport_cc));
        assert_eq!((line.extensions.mid, line.extensions.transport_cc), (Some(4), Some(3)));
        assert_eq!(line.extensions.audio_level.is_some(), line.kind == Kind::Audio);
    }
    let camera = section(&answer, 1);
    for line in ["a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f", "a=recvonly"] {
        assert!(camera.contains(&line), "{line}");
    }
    assert!(!answer.contains("goog-remb") && !answer.contains("red/") && !answer.contains("ulpfec"));
    assert_eq!(
        section(&answer, 10),
        [
            "m=application 40000 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 192.0.2.1",
            "a=mid:10",
            "a=ice-ufrag:ours",
            "a=ice-pwd:oursoursoursoursoursours",
            &fingerprint_line(),
            "a=setup:passive",
            "a=sctp-port:5000",
            "a=max-message-size:65536",
        ]
    );
}

#[test]
fn a_narrowed_slot_is_answered_in_full() {
    let (answer, _) = negotiate(NARROWED, None).unwrap();
    let SlotIdentity { ssrc, rtx_ssrc, stream } = slot(mid("1"), Kind::Video);
    let (ssrc, rtx) = (ssrc.0, rtx_ssrc.unwrap().0);
    assert_eq!(
        section(&answer, 1),
        [
            "m=video 40000 UDP/TLS/RTP/SAVPF 96 97",
            "c=IN IP4 192.0.2.1",
            "a=mid:1",
            "a=ice-ufrag:ours",
            "a=ice-pwd:oursoursoursoursoursours",
            &fingerprint_line(),
            "a=setup:passive",
            "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid",
            "a=sendonly",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 transport-cc",
            "a=rtcp-fb:96 ccm fir",
            "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96",
            &format!("a=msid:{stream} slot-1"),
            &format!("a=ssrc-group:FID {ssrc} {rtx}"),
            &format!("a=ssrc:{ssrc} cname:{stream}"),
            &format!("a=ssrc:{rtx} cname:{stream}"),
        ]
    );
}

#[test]
fn one_stream_is_known_by_its_ssrc() {
    let (_, negotiated) = negotiate(SENDRECV, None).unwrap();
    let Flow::Receive { rids, ssrcs } = flow(&negotiated, "0") else { panic!("{negotiated:?}") };
    assert!(rids.is_empty());
    let [(media, Some(rtx))] = ssrcs.as_slice() else { panic!("{ssrcs:?}") };
    assert!(SENDRECV.contains(&format!("a=ssrc-group:FID {} {}\r\n", media.0, rtx.0)));
}

#[test]
fn a_session_goes_on_through_every_kind_of_change() {
    let (_, first) = negotiate(PUBLISH, None).unwrap();
    let (_, more) = negotiate(MORE_SLOTS, Some(&first)).unwrap();
    assert_eq!(more.media.len(), 13);
    assert_eq!(*flow(&more, "4"), Flow::Nothing);
    assert!(!more.media[4].codecs.is_empty());
    assert_eq!(*flow(&more, "11"), Flow::Send(slot(mid("11"), Kind::Video)));

    let (answer, stopped) = negotiate(STOPPED, Some(&more)).unwrap();
    assert_eq!((flow(&stopped, "1"), flow(&stopped, "2")), (&Flow::Nothing, &Flow::Nothing));
    assert!(section(&answer, 2)[0].starts_with("m=video 0 UDP/TLS/RTP/SAVPF "));
    assert!(answer.contains("a=group:BUNDLE 0 3 4 5 6 7 8 9 10 11 12 13\r\n"));

    let (answer, recycled) = negotiate(RECYCLED, Some(&stopped)).unwrap();
    assert_eq!(recycled.media.len(), 13);
    assert!(!recycled.media.iter().any(|line| line.mid == mid("1") || line.mid == mid("2")));
    assert!(section(&answer, 1).contains(&"a=mid:14") || section(&answer, 1).contains(&"a=mid:15"));

    assert!(!Offer::parse(RECYCLED, &Limits::default()).unwrap().ice_restarted(&stopped));
    assert!(Offer::parse(RESTARTED, &Limits::default()).unwrap().ice_restarted(&recycled));
    let (_, restarted) = negotiate(RESTARTED, Some(&recycled)).unwrap();
    assert_eq!(restarted.media, recycled.media);
    assert_ne!(restarted.ice, recycled.ice);
}

#[test]
fn firefox_names_the_certificate_once_and_extensions_with_directions() {
    let (answer, negotiated) = negotiate(FIREFOX, None).unwrap();
    assert_eq!(negotiated.fingerprint.0[..3], [0x3b, 0x6c, 0xae]);
    assert_eq!(negotiated.ice.ufrag, "9f3a1c2e");
    let camera = &negotiated.media[1];
    assert_eq!(camera.flow, Flow::Receive { rids: rids(&["hi", "lo"]), ssrcs: Vec::new() });
    let codecs: Vec<_> =
        camera.codecs.iter().map(|c| (c.codec, c.payload_type, c.rtx_payload_type)).collect();
    assert_eq!(
        codecs,
        [(Codec::Vp8, 120, Some(124)), (Codec::Vp9, 121, Some(125)), (Codec::H264, 126, Some(127))]
    );
    assert!(
        section(&answer, 1).contains(&"a=extmap:8/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id")
    );
    assert!(section(&answer, 0).contains(&"a=fmtp:109 minptime=10;useinbandfec=1;stereo=1"));
    assert_eq!(
        *flow(&negotiated, "0"),
        Flow::Receive { rids: vec![], ssrcs: vec![(Ssrc(1_733_218_954), None)] }
    );
    assert_eq!(*flow(&negotiated, "2"), Flow::Send(slot(mid("2"), Kind::Video)));
    assert!(negotiated.data);
}

/// Offer and answer with a full peer connection at the other end, which has to take the answer.
#[test]
#[expect(clippy::disallowed_methods, reason = "the other end wants an instant, any one will do")]
fn the_rtc_crate_takes_the_answer() {
    let now = Instant::now();
    let mut media_engine = MediaEngine::default();
    media_engine.register_default_codecs().unwrap();
    let mut client = RTCPeerConnectionBuilder::new().with_media_engine(media_engine).build(now).unwrap();
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(4711), ..Default::default() },
        codec: RTCRtpCodec {
            mime_type: "video/VP8".to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: Vec::new(),
        },
        ..Default::default()
    };
    let track = MediaStreamTrack::new(
        "stream".to_owned(),
        "track".to_owned(),
        "label".to_owned(),
        RtpCodecKind::Video,
        vec![encoding],
    );
    client.add_track(track).unwrap();
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let init = rtc::rtp_transceiver::RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            ..Default::default()
        };
        client.add_transceiver_from_kind(kind, Some(init)).unwrap();
    }
    client.create_data_channel("room", None).unwrap();
    let offer = client.create_offer(None).unwrap();
    client.set_local_description(now, offer.clone()).unwrap();

    let (answer, negotiated) = negotiate(&offer.sdp, None).unwrap();
    let flows: Vec<_> = negotiated.media.iter().map(|line| (line.kind, &line.flow)).collect();
    assert_eq!(flows.len(), 3, "{flows:?}");
    assert!(flows.iter().any(|(kind, flow)| *kind == Kind::Video
        && matches!(flow, Flow::Receive { ssrcs, .. } if ssrcs.iter().any(|(ssrc, _)| *ssrc == Ssrc(4711)))));
    assert_eq!(flows.iter().filter(|(_, flow)| matches!(flow, Flow::Send(_))).count(), 2);
    assert!(negotiated.data);
    client.set_remote_description(now, RTCSessionDescription::answer(answer).unwrap()).unwrap();
}
