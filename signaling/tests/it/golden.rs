//! Every message has an example in `tests/golden`, and each is read and written exactly as it stands there.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use simmer_signaling::protocol::{ClientMessage, ErrorCode, ServerMessage};

fn golden() -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder of golden files") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        files.insert(name, fs::read_to_string(&path).expect("a golden file"));
    }
    files
}

#[test]
fn every_golden_file_is_read_and_written_as_it_stands() {
    for (name, text) in golden() {
        let expected: Value = serde_json::from_str(&text).expect(&name);
        let written = if name.starts_with("client.") {
            let message: ClientMessage =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            serde_json::to_value(message)
        } else {
            let message: ServerMessage =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            serde_json::to_value(message)
        };
        assert_eq!(written.expect(&name), expected, "{name}");
        // A field added by a later version is ignored.
        let mut extended = expected;
        extended["x-later"] = Value::from(1);
        let extended = extended.to_string();
        if name.starts_with("client.") {
            assert!(serde_json::from_str::<ClientMessage>(&extended).is_ok(), "{name}");
        } else {
            assert!(serde_json::from_str::<ServerMessage>(&extended).is_ok(), "{name}");
        }
    }
}

#[test]
fn every_message_of_the_protocol_has_a_golden_file() {
    let files = golden();
    let document = include_str!("../../../docs/protocol.md");
    let mut types: Vec<String> =
        ["hello", "token", "offer", "view", "ping", "leave"].map(|name| format!("client.{name}")).into();
    types.extend(
        [
            "welcome",
            "answer",
            "slots",
            "slots_wanted",
            "encodings",
            "speakers",
            "media",
            "done",
            "event",
            "error",
            "clock",
            "pong",
            "expiring",
        ]
        .map(|name| format!("server.{name}")),
    );
    // The tables of actions and events: a row's first cell is `name {fields}`, the last of an action its events.
    let tables =
        document.split_once("\n## 4.").expect("section 4").1.split("\n## 5.").next().expect("its text");
    for row in tables.lines().filter(|line| line.starts_with("| `") && line.contains('{')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let name =
            |cell: &str| cell.trim().trim_start_matches('`').split([' ', '`']).next().map(str::to_owned);
        match cells.as_slice() {
            [action, _, events] => {
                types.extend(name(action).map(|name| format!("client.do.{name}")));
                types.extend(name(events).map(|name| format!("server.event.{name}")));
            }
            [event, _] => types.extend(name(event).map(|name| format!("server.event.{name}"))),
            _ => {}
        }
    }
    assert!(types.len() > 35, "the tables were not found: {types:?}");
    for expected in types {
        assert!(
            files.keys().any(|name| *name == expected || name.starts_with(&format!("{expected}."))),
            "no golden file for {expected}"
        );
    }
}

#[test]
fn what_a_later_server_says_is_ignored() {
    let message: ServerMessage = serde_json::from_str(r#"{"type":"poll","x":1}"#).expect("an unknown type");
    assert_eq!(message, ServerMessage::Unknown);
    let event = r#"{"type":"event","seq":5,"at":1,"by":null,"kind":"poll_opened","poll":{}}"#;
    let message: ServerMessage = serde_json::from_str(event).expect("an unknown kind");
    assert!(matches!(message, ServerMessage::Event(event) if event.seq == 5));
}

#[test]
fn the_document_names_every_error_code() {
    let document = include_str!("../../../docs/protocol.md");
    for code in ErrorCode::ALL {
        assert!(document.contains(&format!("`{code}`")), "{code}");
        assert_eq!(serde_json::to_value(code).expect("a code"), code.as_str());
    }
}
