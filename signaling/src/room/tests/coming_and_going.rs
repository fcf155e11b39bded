//! Who enters, leaves, is removed or replaced, and when the room itself ends.

use serde_json::{Value, json};

use super::*;

#[test]
fn who_enters_gets_the_room_and_the_others_an_event() {
    let mut table = Table::new();
    let (ana, ana_id) = table.join("ana", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    let welcome = table.welcome(ben);
    assert_eq!(welcome["seq"], 2);
    assert_eq!(welcome["you"]["name"], "BEN");
    assert_eq!(welcome["session"]["resumed"], false);
    assert_eq!(welcome["snapshot"]["participants"].as_array().map(Vec::len), Some(2));
    assert_eq!(table.kinds(ana), ["joined"]);
    assert_eq!(table.kinds(ben), [""; 0]);
    assert_ne!(ana_id, ben_id);
}

#[test]
fn many_who_come_and_go_are_told_in_waves() {
    let mut table = Table::new();
    let interval = room_config(table.now, 1).limits.presence_interval;
    let (ana, _) = table.join("ana", Role::Host);
    table.wait(interval);
    let (ben, _) = table.join("ben", Role::Participant);
    assert_eq!(table.waits, [], "one is told at once");
    let (ana, ben) = (Carrier::WebSocket(ana), Carrier::WebSocket(ben));
    let (cid, _) = table.join("cid", Role::Participant);
    assert!(table.waits.len() == 2 && table.waits.contains(&ana) && table.waits.contains(&ben));
    table.join("dan", Role::Participant);
    table.say(cid, json!({"type": "leave"}));
    assert!(table.waits.contains(&ana) && table.waits.contains(&ben));
    assert_eq!(table.room.poll_timeout(), table.now + interval);
    table.wait(interval - Duration::from_millis(1));
    assert!(table.waits.contains(&ana), "not yet");
    table.wait(Duration::from_millis(1));
    assert_eq!(table.waits, []);

    // What is told at once takes along what waits.
    let (eve, _) = table.join("eve", Role::Participant);
    assert!(table.waits.contains(&ana));
    table.say(eve, json!({"type": "do", "id": 1, "action": {"kind": "chat", "text": "hi"}}));
    assert_eq!(table.waits, []);
}

#[test]
fn a_new_session_of_the_same_identity_ends_the_older_one() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    table.publish(table.core(), "0", 0);
    table.clear();
    let (second, id) = table.join("ben", Role::Participant);
    assert_eq!(id, ben_id);
    assert_eq!(table.closed, [(ben, 4002)]);
    assert_eq!(table.kinds(host), ["unpublished"]);
    assert!(matches!(table.commands[..], [Command::Leave { .. }]));
    // What the older WebSocket still says or does is nobody's.
    table.clear();
    table.say(ben, json!({"type": "do", "id": 1, "action": {"kind": "chat", "text": "ghost"}}));
    table.room.disconnect(table.now, ben);
    table.wait(Duration::from_secs(61));
    assert_eq!(table.kinds(host), [""; 0]);
    assert_eq!(table.act(second, json!({"kind": "chat", "text": "hi"}))["type"], "done");
}

#[test]
fn a_lost_session_waits_for_its_client_and_then_leaves() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.act(ben, json!({"kind": "hand", "raised": true}));
    table.room.disconnect(table.now, ben);
    table.wait(Duration::from_millis(59_999));
    assert_eq!(table.room.present(), 2);
    table.clear();
    table.wait(Duration::from_millis(1));
    assert_eq!(table.kinds(host), ["left"]);
    assert!(table.said.iter().any(|(_, m)| m["reason"] == "timeout" && m["by"].is_null()));
    let snapshot = table.room.snapshot();
    assert!(snapshot.hands.is_empty());
    assert!(snapshot.participants.iter().any(|known| known.participant.id == ben_id && !known.present));
    table.clear();
    assert_eq!(table.join("ben", Role::Participant).1, ben_id);
    assert_eq!(table.kinds(host), ["joined"]);
}

#[test]
fn who_is_kicked_stays_out_for_ten_minutes() {
    let mut table = Table::new();
    let (host, host_id) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.clear();
    let done = table.act(host, json!({"kind": "kick", "participant": ben_id}));
    let (_, event) = table.said.iter().find(|(_, message)| message["kind"] == "left").expect("an event");
    assert_eq!(
        (&event["seq"], &event["by"], &event["reason"]),
        (&done["seq"], &json!(host_id), &json!("kicked"))
    );
    assert_eq!(table.closed, [(ben, 4003)]);
    assert_eq!(table.kinds(ben), ["left"]);
    table.clear();
    let again = table.connect(admission("ben", Role::Participant), None);
    assert_eq!(table.closed, [(again, 4003)]);
    assert_eq!(table.said[0].1["code"], "kicked");
    table.wait(Duration::from_secs(601));
    table.clear();
    let (_, id) = table.join("ben", Role::Participant);
    assert_eq!(id, ben_id);
}

#[test]
fn a_full_room_lets_only_those_in_who_are_in() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { room_size: 2, ..Limits::default() });
    });
    table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let eve = table.connect(admission("eve", Role::Participant), None);
    assert_eq!(table.closed, [(eve, 4000)]);
    assert_eq!(table.said.last().expect("a reply").1["code"], "room_full");
    let (ben_again, _) = table.join("ben", Role::Participant);
    table.say(ben_again, json!({"type": "leave"}));
    assert_eq!(table.closed[1..], [(ben, 4002), (ben_again, 1000)]);
    table.join("eve", Role::Participant);
}

#[test]
fn the_longest_gone_are_forgotten_first() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { remembered: 1, ..Limits::default() });
    });
    let (host, _) = table.join("host", Role::Host);
    table.act(host, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    for name in ["ben", "eve"] {
        let (connection, _) = table.join(name, Role::Participant);
        table.act(connection, json!({"kind": "step_tick", "step": 0, "done": true}));
        table.say(connection, json!({"type": "leave"}));
    }
    let snapshot = table.room.snapshot();
    let names: Vec<_> = snapshot.participants.iter().map(|known| known.participant.name.as_str()).collect();
    assert!(names.contains(&"EVE") && !names.contains(&"BEN"), "{names:?}");
    assert_eq!(snapshot.steps.done.len(), 1);
}

#[test]
fn the_end_is_for_everybody_and_the_room_is_forgotten_later() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.clear();
    assert_eq!(table.act(host, json!({"kind": "end"}))["type"], "done");
    assert_eq!((table.kinds(host), table.kinds(ben)), (vec!["ended"], vec!["ended"]));
    let mut closed = table.closed.clone();
    closed.sort_unstable();
    assert_eq!(closed, [(host, 4004), (ben, 4004)]);
    table.clear();
    let late = table.connect(admission("eve", Role::Participant), None);
    assert_eq!((table.closed[0], &table.said[0].1["code"]), ((late, 4004), &json!("room_ended")));
    assert!(!table.room.is_over(table.now));
    assert!(table.room.is_over(table.now + Duration::from_secs(600)));
}

#[test]
fn a_room_in_which_nothing_happened_is_forgotten_soon() {
    let after = |happens: &[Value]| {
        let mut table = Table::new();
        let (host, _) = table.join("host", Role::Host);
        let (ben, ben_id) = table.join("ben", Role::Participant);
        for action in happens {
            let mut action = action.clone();
            if action["kind"] == "kick" {
                action["participant"] = json!(ben_id);
            }
            assert_eq!(table.act(host, action)["type"], "done");
        }
        table.say(ben, json!({"type": "leave"}));
        table.say(host, json!({"type": "leave"}));
        let kept = [9, 10, 599, 600].map(|seconds| table.now + Duration::from_secs(seconds));
        kept.map(|at| table.room.is_over(at))
    };
    assert_eq!(after(&[]), [false, true, true, true]);
    assert_eq!(after(&[json!({"kind": "chat", "text": "hello"})]), [false, false, false, true]);
    assert_eq!(after(&[json!({"kind": "kick"})]), [false, false, false, true]);
}

#[test]
fn the_clock_is_told_every_five_seconds() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.clear();
    table.wait(Duration::from_millis(4999));
    assert!(table.said.is_empty());
    table.wait(Duration::from_millis(1));
    assert_eq!(table.said, [(Carrier::WebSocket(ben), json!({"type": "clock", "clock": 5000}))]);
    assert_eq!(table.room.poll_timeout(), table.now + Duration::from_secs(5));
}
