//! Reading what a client sent.

use serde::Deserialize;

use super::{ClientMessage, ErrorCode};

/// Why a frame is no message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// [`ErrorCode::BadJson`] or [`ErrorCode::UnknownType`].
    pub code: ErrorCode,
    /// The request's id, when the frame has one.
    pub re: Option<u64>,
    /// What is wrong, for people.
    pub message: &'static str,
}

impl Refused {
    /// The frame was binary.
    pub fn binary() -> Self {
        Self { code: ErrorCode::BadJson, re: None, message: "Messages are text frames." }
    }
}

/// Reads one frame. Nesting deeper than 128 is refused, whatever the frame's length; nothing of the frame is repeated in the refusal.
///
/// # Errors
///
/// `bad_json` for what is no JSON or no object with a known shape, `unknown_type` for a message type or an action kind that does not
/// exist.
pub fn parse(frame: &[u8]) -> Result<ClientMessage, Refused> {
    // serde would also take a list of the fields' values.
    if frame.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refused { code: ErrorCode::BadJson, re: None, message: NO_OBJECT });
    }
    serde_json::from_slice(frame).map_err(|_| refusal(frame))
}

fn refusal(frame: &[u8]) -> Refused {
    let bad = |re, message| Refused { code: ErrorCode::BadJson, re, message };
    let Ok(head) = serde_json::from_slice::<Head>(frame) else {
        return bad(None, NO_OBJECT);
    };
    let id = head.id.as_ref().and_then(serde_json::Value::as_u64);
    if !TYPES.contains(&head.kind.as_str()) {
        return Refused { code: ErrorCode::UnknownType, re: id, message: "There is no such message type." };
    }
    let kind = head.action.as_ref().and_then(|action| action.get("kind")).and_then(serde_json::Value::as_str);
    if head.kind == "do" && kind.is_some_and(|kind| !KINDS.contains(&kind)) {
        return Refused { code: ErrorCode::UnknownType, re: id, message: "There is no such kind of action." };
    }
    bad(id, "A field of this message is missing or has the wrong type.")
}

/// What is read of a frame that is no message.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(default)]
    action: Option<serde_json::Value>,
}

const NO_OBJECT: &str = "This is not a JSON object with a `type`.";
const TYPES: [&str; 7] = ["hello", "token", "offer", "view", "do", "ping", "leave"];
const KINDS: [&str; 10] = [
    "chat",
    "hand",
    "steps_set",
    "step_start",
    "step_tick",
    "mute",
    "record_start",
    "record_stop",
    "kick",
    "end",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(frame: &str) -> (ErrorCode, Option<u64>) {
        let refused = parse(frame.as_bytes()).expect_err(frame);
        (refused.code, refused.re)
    }

    #[test]
    fn a_wrong_shape_is_told_from_an_unknown_type() {
        use ErrorCode::{BadJson, UnknownType};
        for bad in ["", "{", "[]", "1", "null", "{}", r#"{"type":1}"#, r#"["type"]"#, "\u{0}"] {
            assert_eq!(code(bad), (BadJson, None), "{bad}");
        }
        assert_eq!(code(r#"{"type":"dance"}"#), (UnknownType, None));
        assert_eq!(code(r#"{"type":"dance","id":4}"#), (UnknownType, Some(4)));
        assert_eq!(code(r#"{"type":"do","id":7,"action":{"kind":"dance"}}"#), (UnknownType, Some(7)));
        assert_eq!(code(r#"{"type":"do","id":7,"action":{"kind":"chat"}}"#), (BadJson, Some(7)));
        assert_eq!(code(r#"{"type":"do","id":-7,"action":{"kind":"chat","text":"x"}}"#), (BadJson, None));
        assert_eq!(code(r#"{"type":"offer","id":7}"#), (BadJson, Some(7)));
    }

    #[test]
    fn every_kind_and_type_that_is_refused_for_its_shape_is_a_known_one() {
        for kind in KINDS {
            let frame = format!(r#"{{"type":"do","id":1,"key":1,"action":{{"kind":"{kind}"}}}}"#);
            assert_eq!(code(&frame), (ErrorCode::BadJson, Some(1)), "{kind}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        for depth in [127, 128, 1000, 500_000] {
            let frame = format!(r#"{{"type":"leave","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
            if depth >= 128 {
                assert_eq!(code(&frame).0, ErrorCode::BadJson, "{depth}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&frame);
        }

        #[test]
        fn no_mutation_makes_it_panic(at in 0usize..80, byte in any::<u8>()) {
            let mut frame = br#"{"type":"do","id":7,"key":"k","action":{"kind":"steps_set","steps":[{"title":"a"}]}}"#.to_vec();
            frame[at] = byte;
            let _ = parse(&frame);
        }
    }
}
