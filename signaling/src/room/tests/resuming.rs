//! Sessions that outlive their WebSocket.

use serde_json::json;
use simmer_sfu::id::{Mid, PublicationId};
use simmer_sfu::message::Event as CoreEvent;
use simmer_sfu::transport::SendDataError;

use super::*;

#[test]
fn a_resumed_session_gets_what_it_missed() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.room.disconnect(table.now, ben);
    table.act(host, json!({"kind": "chat", "text": "one"}));
    table.act(host, json!({"kind": "chat", "text": "two"}));
    let resume = table.resume(ben, 2);
    table.clear();
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    let welcome = table.welcome(again);
    assert_eq!((&welcome["session"]["resumed"], &welcome["seq"]), (&json!(true), &json!(2)));
    assert!(welcome.get("snapshot").is_none());
    assert_ne!(welcome["session"]["secret"], json!(resume.secret));
    assert_eq!(table.kinds(again), ["chat", "chat"]);
    assert_eq!(table.kinds(host), [""; 0]);
}

#[test]
fn a_secret_is_good_until_its_successor_has_arrived() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let first = table.resume(ben, 1);
    // The welcome with the second secret is lost on its way: the first is still good, and the older WebSocket is taken over.
    let second = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.closed, [(ben, 4001)]);
    let third = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.welcome(third)["session"]["resumed"], true);
    assert_eq!(table.closed, [(ben, 4001), (second, 4001)]);
    // Now the client speaks, so the newest has arrived.
    table.act(third, json!({"kind": "chat", "text": "hi"}));
    let fourth = table.connect(admission("ben", Role::Participant), Some(&first));
    assert_eq!(table.welcome(fourth)["session"]["resumed"], false);
    assert_eq!(table.closed.last(), Some(&(third, 4002)));
}

#[test]
fn another_identity_cannot_resume_ones_session() {
    let mut table = Table::new();
    let (ben, ben_id) = table.join("ben", Role::Participant);
    let resume = table.resume(ben, 1);
    table.connect(admission("eve", Role::Participant), None);
    let eve = table.connect(admission("eve", Role::Participant), Some(&resume));
    assert_eq!(table.welcome(eve)["session"]["resumed"], false);
    assert_ne!(table.welcome(eve)["you"]["id"], json!(ben_id));
    assert!(!table.closed.iter().any(|(closed, _)| *closed == ben));
}

#[test]
fn what_is_no_longer_held_comes_as_a_snapshot() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { held_events: 3, ..Limits::default() });
    });
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.room.disconnect(table.now, ben);
    for text in ["1", "2", "3", "4"] {
        table.act(host, json!({"kind": "chat", "text": text}));
    }
    for (after, snapshot) in [(3, false), (2, true), (100, true)] {
        let resume = Resume { after, ..table.resume(ben, 0) };
        let again = table.connect(admission("ben", Role::Participant), Some(&resume));
        let welcome = table.welcome(again);
        assert_eq!(welcome["session"]["resumed"], true, "{after}");
        assert_eq!(welcome.get("snapshot").is_some(), snapshot, "{after}");
        assert_eq!(welcome["seq"], if snapshot { 6 } else { after }, "{after}");
        let secret = welcome["session"]["secret"].clone();
        let ben_welcome =
            table.said.iter_mut().find(|(to, m)| *to == Carrier::WebSocket(ben) && m["type"] == "welcome");
        ben_welcome.expect("the first welcome").1["session"]["secret"] = secret;
    }
}

#[test]
fn resuming_repeats_what_media_has_to_say_and_drops_lead_to_a_snapshot() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let resume = table.resume(ben, 1);
    table.room.disconnect(table.now, ben);
    table.core_says(CoreEvent::Answered { participant, request: 1, answer: Ok("v=0".to_owned()) });
    table.core_says(CoreEvent::SlotsWanted { participant, audio: 4, video: 6 });
    for wanted in [vec![true, false], vec![false, true]] {
        let publication = PublicationId { participant, index: 0 };
        let mid = Mid::new(b"0").expect("a mid");
        table.core_says(CoreEvent::EncodingsWanted { participant, publication, mid, wanted });
    }
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert_eq!(table.types(Carrier::WebSocket(again)), ["welcome", "answer", "slots_wanted", "encodings"]);
    assert_eq!(table.said.last().expect("a message").1["wanted"], json!([false, true]), "the latest only");
    let resume = table.resume(again, 1);
    table.core_says(CoreEvent::ChannelOpened {
        participant,
        channel: ChannelId(3),
        label: CHANNEL.to_owned(),
    });
    let reason = SendDataError::Full;
    table.core_says(CoreEvent::DataDropped { participant, channel: ChannelId(3), reason });
    let third = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(third).get("snapshot").is_some());
    let resume = table.resume(third, 1);
    let fourth = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(fourth).get("snapshot").is_none());
}
