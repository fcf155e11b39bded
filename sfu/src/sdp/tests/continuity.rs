//! What a later offer may change, and what not.

use super::*;

fn refused(text: &str, previous: &Negotiated) -> &'static str {
    match negotiate(text, Some(previous)) {
        Err(OfferError::Discontinuous { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn certificate_and_role_stay() {
    let text = rules::audio("a=setup:actpass\r\n");
    let (_, server) = negotiate(&text, None).unwrap();
    assert_eq!(refused(&text.replace(":1e:ff", ":1e:fe"), &server), "the certificate has changed");
    assert_eq!(refused(&text.replace("actpass", "passive"), &server), "the DTLS role has changed");
    assert!(negotiate(&text.replace("actpass", "active"), Some(&server)).is_ok());

    let (_, client) = negotiate(&text.replace("actpass", "passive"), None).unwrap();
    assert_eq!(refused(&text.replace("actpass", "active"), &client), "the DTLS role has changed");
    let (answer, again) = negotiate(&text, Some(&client)).unwrap();
    assert_eq!(again.dtls_role, DtlsRole::Client);
    assert!(answer.contains("a=setup:active\r\n"));
}

#[test]
fn new_credentials_are_a_restart() {
    let text = rules::audio("");
    let (_, previous) = negotiate(&text, None).unwrap();
    let restarted = |text: &str| Offer::parse(text, &Limits::default()).unwrap().ice_restarted(&previous);
    assert!(!restarted(&text));
    assert!(restarted(&text.replace("a=ice-ufrag:abcd", "a=ice-ufrag:abce")));
    assert!(restarted(&text.replace("opqrstuv", "opqrstuw")));
}

#[test]
fn a_mid_in_use_stays_where_and_what_it_is() {
    let (_, previous) = negotiate(NARROWED, None).unwrap();
    let renamed = NARROWED.replace("a=mid:1", "a=mid:9").replace("BUNDLE 0 1 2", "BUNDLE 0 9 2");
    assert_eq!(refused(&renamed, &previous), "a mid in use has vanished");
    let swapped =
        NARROWED.replace("a=mid:0", "a=mid:x").replace("a=mid:1", "a=mid:0").replace("a=mid:x", "a=mid:1");
    assert_eq!(refused(&swapped, &previous), "the m-lines are in another order than before");
    let other_kind =
        NARROWED.replace("a=mid:0", "a=mid:x").replace("a=mid:2", "a=mid:0").replace("a=mid:x", "a=mid:2");
    assert_eq!(refused(&other_kind, &previous), "a mid is of another kind than before");
    let audio_line = NARROWED.find("m=audio").unwrap();
    let shorter = NARROWED[..audio_line].replace("BUNDLE 0 1 2", "BUNDLE 0 1");
    assert_eq!(refused(&shorter, &previous), "m-lines have vanished");

    let (_, with_data) = negotiate(PUBLISH, None).unwrap();
    let other = PUBLISH.replace("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=text 9 X 1");
    assert_eq!(refused(&other, &with_data), "the m-line of the data channels has vanished");
}

#[test]
fn a_flow_may_turn() {
    let (_, slot_before) = negotiate(&rules::audio("a=recvonly\r\n"), None).unwrap();
    let (_, published) = negotiate(&rules::audio("a=sendonly\r\n"), Some(&slot_before)).unwrap();
    assert!(matches!(published.media[0].flow, Flow::Receive { .. }));
    let (_, idle) = negotiate(&rules::audio("a=inactive\r\n"), Some(&published)).unwrap();
    assert_eq!(idle.media[0].flow, Flow::Nothing);
    let renamed = rules::audio("a=sendonly\r\n").replace("a=mid:a", "a=mid:b");
    assert_eq!(negotiate(&renamed, Some(&idle)).unwrap().1.media[0].mid, mid("b"));
}
