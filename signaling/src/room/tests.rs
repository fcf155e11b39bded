//! What a room does, step by step.

mod actions;
mod coming_and_going;
mod expiring;
mod holding;
mod media;
mod over_http;
mod recordings;
mod resuming;
mod table;

use serde_json::{Value, json};

use super::*;
use crate::protocol::{CHANNEL, Resume};
use table::Table;

/// Chromium's offer to publish: one video with simulcast, one audio, a data channel.
pub(super) const OFFER: &str = include_str!("../../../sfu/src/sdp/fixtures/chromium_publish.sdp");

pub(super) fn room_config(base: Instant, seed: u8) -> RoomConfig {
    RoomConfig {
        id: "class-7".to_owned(),
        number: 7,
        base,
        started_at: 1_790_000_000_000,
        seed: [seed; 32],
        recorder: true,
        limits: Arc::new(Limits::default()),
    }
}

pub(super) fn admission(identity: &str, role: Role) -> Admission {
    let host = role == Role::Host;
    let rights = Rights { publish: true, subscribe: true, send: true, record: host, administer: host };
    Admission {
        identity: identity.to_owned(),
        name: identity.to_uppercase(),
        role,
        rights,
        valid_for: Duration::from_secs(24 * 3600),
    }
}

fn offer() -> Value {
    json!({"type": "offer", "id": 1, "sdp": OFFER, "tracks": [{"mid": "1", "source": "screen"}]})
}
