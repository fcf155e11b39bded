//! Sessions end with their tokens.

use serde_json::json;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn for_a_while(identity: &str, valid_for: Duration) -> Admission {
    Admission { valid_for, ..admission(identity, Role::Participant) }
}

#[test]
fn a_session_is_told_of_its_end_and_ends() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let ben = table.connect(for_a_while("ben", 5 * MINUTE), None);
    table.say(ben, offer());
    let resume = table.resume(ben, 2);
    let begun = table.now;
    table.wait(5 * MINUTE - Duration::from_secs(30) - Duration::from_millis(1));
    assert!(!table.types(Carrier::WebSocket(ben)).contains(&"expiring"));
    table.clear();
    table.now = table.room.poll_timeout();
    assert_eq!(table.now, begun + 5 * MINUTE - Duration::from_secs(30));
    table.wait(Duration::ZERO);
    assert_eq!(table.said, [(Carrier::WebSocket(ben), json!({"type": "expiring", "in_ms": 30000}))]);

    table.wait(Duration::from_secs(30) - Duration::from_millis(1));
    assert_eq!(table.room.present(), 2);
    table.clear();
    table.now = table.room.poll_timeout();
    table.wait(Duration::ZERO);
    assert_eq!(table.said[0].1["code"], "token_expired");
    assert_eq!(table.closed, [(ben, 4006)]);
    assert!(matches!(table.commands[..], [Command::Leave { .. }]), "media ends with it");
    assert_eq!(table.kinds(host), ["left"]);
    assert!(table.said.iter().any(|(_, m)| m["reason"] == "expired" && m["by"].is_null()));
    // The secret opens nothing any more; a newer token begins a new session.
    let again = table.connect(for_a_while("ben", MINUTE), Some(&resume));
    assert_eq!(table.welcome(again)["session"]["resumed"], false);
}

#[test]
fn a_newer_token_carries_the_session_on_with_its_rights() {
    let mut table = Table::new();
    let ben = table.connect(for_a_while("ben", 5 * MINUTE), None);
    table.wait(5 * MINUTE - Duration::from_secs(1));
    table.clear();
    let mut newer = for_a_while("ben", 10 * MINUTE);
    newer.rights.send = false;
    table.room.renew(table.now, ben, 9, Some(newer));
    table.drain();
    assert_eq!(table.said, [(Carrier::WebSocket(ben), json!({"type": "done", "re": 9}))]);
    table.wait(9 * MINUTE);
    assert_eq!(table.closed, []);
    assert!(!table.types(Carrier::WebSocket(ben)).contains(&"expiring"));
    assert_eq!(table.act(ben, json!({"kind": "chat", "text": "hi"}))["code"], "not_allowed");
    table.wait(MINUTE);
    assert_eq!(table.closed, [(ben, 4006)]);
}

#[test]
fn a_token_that_is_none_or_anothers_changes_nothing() {
    let mut table = Table::new();
    let ben = table.connect(for_a_while("ben", MINUTE), None);
    for admission in [None, Some(for_a_while("eve", 10 * MINUTE))] {
        table.room.renew(table.now, ben, 9, admission);
        table.drain();
        let reply = &table.said.last().expect("a reply").1;
        assert_eq!((&reply["re"], &reply["code"]), (&json!(9), &json!("bad_token")));
    }
    table.wait(MINUTE);
    assert_eq!(table.closed, [(ben, 4006)]);
}

#[test]
fn a_short_life_is_told_of_at_its_half() {
    let mut table = Table::new();
    let ben = table.connect(for_a_while("ben", Duration::from_secs(20)), None);
    table.clear();
    table.wait(Duration::from_secs(10) - Duration::from_millis(1));
    assert!(!table.types(Carrier::WebSocket(ben)).contains(&"expiring"));
    table.wait(Duration::from_millis(1));
    let told = (Carrier::WebSocket(ben), json!({"type": "expiring", "in_ms": 10000}));
    assert!(table.said.contains(&told));
}

#[test]
fn a_session_without_a_web_socket_ends_too_unless_it_is_resumed_with_a_newer_token() {
    for newer in [false, true] {
        let mut table = Table::new();
        let (host, _) = table.join("host", Role::Host);
        let ben = table.connect(for_a_while("ben", MINUTE), None);
        let resume = table.resume(ben, 2);
        table.wait(Duration::from_secs(50));
        table.room.disconnect(table.now, ben);
        table.clear();
        let again = newer.then(|| table.connect(for_a_while("ben", 10 * MINUTE), Some(&resume)));
        table.wait(Duration::from_secs(10));
        assert_eq!(table.kinds(host), if newer { vec![] } else { vec!["left"] });
        if let Some(again) = again {
            assert_eq!(table.welcome(again)["session"]["resumed"], true);
        }
    }
}

#[test]
fn nothing_of_a_session_that_is_over_comes_due() {
    let mut table = Table::new();
    let ben = table.connect(for_a_while("ben", MINUTE), None);
    table.say(ben, json!({"type": "leave"}));
    let again = table.connect(for_a_while("ben", 10 * MINUTE), None);
    table.clear();
    table.wait(5 * MINUTE);
    assert!(!table.types(Carrier::WebSocket(again)).contains(&"expiring"));
    assert_eq!(table.closed, []);
}
