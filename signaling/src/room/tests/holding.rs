//! A data channel that does not keep up.

use serde_json::json;
use simmer_sfu::message::Event as CoreEvent;

use super::*;

const CHANNEL_ID: ChannelId = ChannelId(3);

/// A host, and somebody whose WebSocket is gone and whose data channel is open.
fn on_the_channel(table: &mut Table) -> (ConnectionId, ConnectionId, ParticipantId, Resume) {
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let label = CHANNEL.to_owned();
    table.core_says(CoreEvent::ChannelOpened { participant, channel: CHANNEL_ID, label });
    let resume = table.resume(ben, 2);
    table.room.disconnect(table.now, ben);
    table.clear();
    (host, ben, participant, resume)
}

fn high(table: &mut Table, participant: ParticipantId) {
    table.core_says(CoreEvent::BufferedHigh { participant, channel: CHANNEL_ID });
}

fn low(table: &mut Table, participant: ParticipantId) {
    table.core_says(CoreEvent::BufferedLow { participant, channel: CHANNEL_ID });
}

fn seqs(table: &Table, to: Carrier) -> Vec<u64> {
    let theirs = table.said.iter().filter(|(carrier, _)| *carrier == to);
    theirs.filter_map(|(_, message)| message["seq"].as_u64()).collect()
}

#[test]
fn what_a_slow_channel_misses_comes_when_it_has_drained() {
    let mut table = Table::new();
    let (host, _, participant, resume) = on_the_channel(&mut table);
    let carrier = Carrier::Channel(participant, CHANNEL_ID);
    let chat = json!({"kind": "chat", "text": "x"});
    table.act(host, chat.clone());
    high(&mut table, participant);
    high(&mut table, participant);
    for _ in 0..3 {
        table.act(host, chat.clone());
    }
    for video in [5, 6] {
        table.core_says(CoreEvent::SlotsWanted { participant, audio: 4, video });
    }
    assert_eq!(seqs(&table, carrier), [3]);
    assert_eq!(table.types(carrier), ["event"]);
    low(&mut table, participant);
    assert_eq!(seqs(&table, carrier), [3, 4, 5, 6]);
    assert_eq!(table.types(carrier), ["event", "event", "event", "event", "slots_wanted", "speakers"]);
    assert!(table.said.contains(&(carrier, json!({"type": "slots_wanted", "audio": 4, "video": 6}))));
    table.act(host, chat);
    assert_eq!(seqs(&table, carrier), [3, 4, 5, 6, 7]);
    // Nothing is missing, so that nothing but events comes when the WebSocket is back.
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(again).get("snapshot").is_none());
}

#[test]
fn more_than_a_resumption_may_bring_is_left_for_a_snapshot() {
    let mut table = Table::with(|config| {
        config.limits = Arc::new(Limits { resume_bytes: 300, ..Limits::default() });
    });
    let (host, _, participant, resume) = on_the_channel(&mut table);
    let carrier = Carrier::Channel(participant, CHANNEL_ID);
    high(&mut table, participant);
    for _ in 0..10 {
        table.act(host, json!({"kind": "chat", "text": "x"}));
    }
    low(&mut table, participant);
    assert_eq!(seqs(&table, carrier), [0; 0]);
    let after = table.room.log.last_seq();
    let resume = Resume { after, ..resume };
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    assert!(table.welcome(again).get("snapshot").is_some());
}

#[test]
fn a_web_socket_is_fed_whatever_the_channel_does() {
    let mut table = Table::new();
    let (host, _, participant, resume) = on_the_channel(&mut table);
    let carrier = Carrier::Channel(participant, CHANNEL_ID);
    high(&mut table, participant);
    let again = table.connect(admission("ben", Role::Participant), Some(&resume));
    table.act(host, json!({"kind": "chat", "text": "x"}));
    low(&mut table, participant);
    assert_eq!(table.kinds(again), ["chat"]);
    assert_eq!(table.types(carrier), [""; 0]);
    // Another channel than the room's own changes nothing.
    table.core_says(CoreEvent::BufferedHigh { participant, channel: ChannelId(1) });
    table.room.disconnect(table.now, again);
    table.act(host, json!({"kind": "chat", "text": "y"}));
    assert_eq!(table.types(carrier), ["event"]);
}
