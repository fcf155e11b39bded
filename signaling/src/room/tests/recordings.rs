//! What the recorder is told, and what it tells.

use serde_json::{Value, json};

use super::*;

fn recorded_kinds(table: &Table) -> Vec<String> {
    let kind = |command: &RecordCommand| match command {
        RecordCommand::Begin { .. } => "BEGIN".to_owned(),
        RecordCommand::Finish { .. } => "FINISH".to_owned(),
        RecordCommand::Event { event, .. } => {
            serde_json::to_value(&event.body).expect("JSON")["kind"].as_str().expect("a kind").to_owned()
        }
    };
    table.recorded.iter().map(kind).collect()
}

#[test]
fn a_recording_begins_with_the_room_as_it_is_and_takes_every_event() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    table.publish(table.core(), "0", 0);
    table.act(host, json!({"kind": "steps_set", "steps": [{"title": "Chop"}, {"title": "Fry"}]}));
    table.act(host, json!({"kind": "step_start", "step": 1}));
    table.act(ben, json!({"kind": "step_tick", "step": 0, "done": true}));
    table.clear();
    let start = json!({"kind": "record_start"});
    assert_eq!(table.act_with_key(host, Some("r"), start.clone()), Value::Null);
    // Sent again before the recorder has answered: one reply, to the last one who asked.
    assert_eq!(table.act_with_key(host, Some("r"), start.clone()), Value::Null);
    assert_eq!(table.act_with_key(host, Some("other"), start.clone())["code"], "already_recording");
    table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
    table.drain();
    let done = table.said.last().expect("a reply").1.clone();
    assert_eq!(done["type"], "done");
    assert_eq!(
        recorded_kinds(&table),
        ["BEGIN", "joined", "joined", "published", "steps_set", "step_started", "step_ticked", "recording"]
    );
    let bases: Vec<_> = table.recorded[..7]
        .iter()
        .map(|command| match command {
            RecordCommand::Begin { base } => *base,
            RecordCommand::Event { at, .. } | RecordCommand::Finish { at } => *at,
        })
        .collect();
    assert!(bases.iter().all(|at| *at == bases[0]), "all of it is at time zero");
    assert_eq!(table.act_with_key(host, Some("r"), start)["seq"], done["seq"]);
    table.clear();
    table.act(ben, json!({"kind": "chat", "text": "hi"}));
    assert_eq!(table.act(host, json!({"kind": "record_stop"}))["type"], "done");
    table.act(ben, json!({"kind": "chat", "text": "unrecorded"}));
    assert_eq!(recorded_kinds(&table), ["chat", "recording", "FINISH"]);
}

#[test]
fn the_last_recording_event_tells_the_present_state() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let tell = |table: &mut Table, event| {
        table.room.handle_recorder(table.now, event);
        table.drain();
    };
    let began = |session: &str| RecorderEvent::Began { session: session.to_owned() };
    let available = |session: &str| RecorderEvent::Available { session: session.to_owned() };
    let state = |table: &Table| table.room.snapshot().recording.map(|info| (info.state, info.session));
    use crate::protocol::RecordingState::{Available, Failed, Started};
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S1"));
    table.act(host, json!({"kind": "record_stop"}));
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S2"));
    tell(&mut table, available("S1"));
    assert_eq!(state(&table), Some((Started, "S2".to_owned())));
    table.clear();
    table.act(host, json!({"kind": "record_stop"}));
    assert_eq!(table.kinds(host), ["recording", "recording"]);
    assert_eq!(state(&table), Some((Available, "S1".to_owned())));
    tell(&mut table, available("S2"));
    assert_eq!(state(&table), Some((Available, "S2".to_owned())));

    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, began("S3"));
    let failed = RecorderEvent::Failed { session: "S3".to_owned(), reason: "disk_full" };
    tell(&mut table, failed);
    assert_eq!(state(&table), Some((Failed, "S3".to_owned())));
    assert!(!table.room.is_recorded());
    table.act(host, json!({"kind": "record_start"}));
    tell(&mut table, RecorderEvent::Unavailable);
    assert_eq!(table.said.last().expect("a reply").1["code"], "recorder_unavailable");
    assert_eq!(table.act(host, json!({"kind": "record_stop"}))["code"], "not_recording");
}

#[test]
fn a_recording_ends_with_the_room_or_with_the_last_who_leaves() {
    for last in [json!({"type": "leave"}), json!({"type": "do", "id": 1, "action": {"kind": "end"}})] {
        let mut table = Table::new();
        let (host, _) = table.join("host", Role::Host);
        table.act(host, json!({"kind": "record_start"}));
        table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
        table.clear();
        table.say(host, last.clone());
        let kinds = recorded_kinds(&table);
        assert_eq!(kinds.last().map(String::as_str), Some("FINISH"), "{last}");
        assert!(kinds.contains(&"recording".to_owned()), "{last}");
    }
    // Stopped before it had begun.
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    table.act(host, json!({"kind": "record_start"}));
    table.room.shut_down(table.now);
    table.room.handle_recorder(table.now, RecorderEvent::Began { session: "S1".to_owned() });
    table.drain();
    assert_eq!(recorded_kinds(&table), ["BEGIN", "FINISH"]);
}
