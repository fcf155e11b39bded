//! What participants may do, and how often.

use serde_json::{Value, json};

use super::*;
use crate::protocol::parse;

#[test]
fn rights_are_the_tokens() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let mut mute = admission("mute", Role::Participant);
    mute.rights = Rights { publish: false, subscribe: false, send: false, record: false, administer: false };
    let silent = table.connect(mute, None);
    let steps = json!({"kind": "steps_set", "steps": [{"title": "Chop"}]});
    assert_eq!(table.act(host, steps.clone())["type"], "done");
    for action in [
        json!({"kind": "chat", "text": "hi"}),
        json!({"kind": "hand", "raised": true}),
        steps,
        json!({"kind": "step_start", "step": 0}),
        json!({"kind": "step_tick", "step": 0, "done": true}),
        json!({"kind": "record_start"}),
        json!({"kind": "record_stop"}),
        json!({"kind": "kick", "participant": "p"}),
        json!({"kind": "end"}),
    ] {
        table.clear();
        assert_eq!(table.act(silent, action.clone())["code"], "not_allowed", "{action}");
        assert_eq!(table.kinds(host), [""; 0], "{action}");
    }
    table.say(silent, json!({"type": "view", "view": {}}));
    assert_eq!(table.said.last().expect("a reply").1["code"], "not_allowed");
    table.say(silent, offer());
    assert_eq!(table.said.last().expect("a reply").1["code"], "not_allowed");
    assert!(table.commands.is_empty());
}

#[test]
fn values_out_of_range_are_refused() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let title = |length| json!({"kind": "steps_set", "steps": [{"title": "x".repeat(length)}]});
    let steps = |count| json!({"kind": "steps_set", "steps": vec![json!({"title": "x"}); count]});
    let chat = |length| json!({"kind": "chat", "text": "é".repeat(length)});
    for (action, code) in [
        (chat(0), "invalid"),
        (chat(2001), "invalid"),
        (steps(0), "invalid"),
        (steps(11), "invalid"),
        (title(0), "invalid"),
        (title(121), "invalid"),
        (json!({"kind": "step_start", "step": 0}), "not_found"),
        (json!({"kind": "mute", "publication": "x", "muted": true}), "not_found"),
        (json!({"kind": "kick", "participant": "p0"}), "not_found"),
        (json!({"kind": "record_stop"}), "not_recording"),
    ] {
        assert_eq!(table.act(host, action.clone())["code"], code, "{action}");
    }
    for action in [chat(2000), steps(10), title(120), json!({"kind": "step_start", "step": 0})] {
        assert_eq!(table.act(host, action.clone())["type"], "done", "{action}");
    }
    assert_eq!(table.act_with_key(host, Some(&"k".repeat(65)), chat(1))["code"], "invalid");
    assert_eq!(table.act_with_key(host, Some(""), chat(1))["code"], "invalid");
}

#[test]
fn a_key_makes_an_action_happen_once() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let chat = json!({"kind": "chat", "text": "once"});
    let first = table.act_with_key(ana, Some("k"), chat.clone());
    table.clear();
    assert_eq!(table.act_with_key(ana, Some("k"), chat.clone()), first);
    assert_eq!(table.kinds(ben), [""; 0]);
    // Another's key is another key.
    assert_ne!(table.act_with_key(ben, Some("k"), chat)["seq"], first["seq"]);
    // A refusal is a reply as well.
    let start = json!({"kind": "step_start", "step": 0});
    assert_eq!(table.act_with_key(ana, Some("s"), start.clone())["code"], "not_found");
    table.act(ana, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    assert_eq!(table.act_with_key(ana, Some("s"), start)["code"], "not_found");
}

#[test]
fn what_changes_nothing_is_done_without_an_event() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    table.act(ana, json!({"kind": "steps_set", "steps": [{"title": "Chop"}]}));
    for action in [
        json!({"kind": "hand", "raised": true}),
        json!({"kind": "step_start", "step": 0}),
        json!({"kind": "step_tick", "step": 0, "done": true}),
    ] {
        assert!(table.act(ana, action.clone())["seq"].is_u64(), "{action}");
        table.clear();
        let again = table.act(ana, action.clone());
        assert_eq!((&again["type"], &again["seq"]), (&json!("done"), &Value::Null), "{action}");
        assert_eq!(table.kinds(ana), [""; 0], "{action}");
    }
}

#[test]
fn a_host_may_mute_and_only_the_owner_unmute() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let (eve, _) = table.join("eve", Role::Participant);
    table.say(ben, offer());
    let publication = table.publish(table.core(), "0", 0);
    let mute = |muted| json!({"kind": "mute", "publication": publication, "muted": muted});
    assert_eq!(table.act(eve, mute(true))["code"], "not_allowed");
    assert_eq!(table.act(host, mute(true))["type"], "done");
    assert_eq!(table.act(host, mute(false))["code"], "not_allowed");
    assert_eq!(table.act(ben, mute(false))["type"], "done");
    assert!(!table.room.snapshot().publications[0].muted);
}

#[test]
fn three_bad_frames_in_a_row_close_the_web_socket() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let bad = |table: &mut Table| {
        table.room.handle(table.now, ben, parse(b"{"));
        table.drain();
    };
    bad(&mut table);
    bad(&mut table);
    table.act(ben, json!({"kind": "chat", "text": "fine"}));
    bad(&mut table);
    bad(&mut table);
    assert_eq!(table.closed, []);
    bad(&mut table);
    assert_eq!(table.closed, [(ben, 4000)]);
    // An unknown type is no bad frame.
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    for _ in 0..5 {
        table.say(ben, json!({"type": "dance"}));
        assert_eq!(table.said.last().expect("a reply").1["code"], "unknown_type");
    }
    assert_eq!(table.closed, []);
}

#[test]
fn too_many_messages_are_refused_with_the_time_to_wait() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    let chat = json!({"type": "do", "id": 9, "action": {"kind": "chat", "text": "x"}});
    for _ in 0..10 {
        table.say(ben, chat.clone());
        assert_eq!(table.said.last().expect("a reply").1["type"], "done");
    }
    table.say(ben, chat.clone());
    let reply = table.said.last().expect("a reply").1.clone();
    assert_eq!((&reply["re"], &reply["code"]), (&json!(9), &json!("rate_limited")));
    table.now += Duration::from_millis(reply["retry_ms"].as_u64().expect("a time"));
    table.say(ben, chat.clone());
    assert_eq!(table.said.last().expect("a reply").1["type"], "done");
    // Everything together: what is refused counts too.
    for _ in 0..200 {
        table.say(ben, json!({"type": "dance"}));
    }
    assert_eq!(table.said.last().expect("a reply").1["code"], "rate_limited");
    // A new session is no way around it.
    let (again, _) = table.join("ben", Role::Participant);
    table.say(again, chat);
    assert_eq!(table.said.last().expect("a reply").1["code"], "rate_limited");
}
