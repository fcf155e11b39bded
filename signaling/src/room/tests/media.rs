//! Offers, views and what the core tells; the data channel.

use serde_json::json;
use simmer_sfu::audio::Speaker;
use simmer_sfu::id::{Mid, PublicationId};
use simmer_sfu::message::{Data, Event as CoreEvent};
use simmer_sfu::view::{
    AudioWish as CoreAudioWish, Role as CoreRole, SlotAssignment, VideoSource, VideoWish,
};

use super::*;

#[test]
fn media_goes_to_the_core_and_its_news_to_the_room() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, ben_id) = table.join("ben", Role::Participant);
    table.clear();
    table.say(ben, json!({"type": "view", "view": {"video": [{"publication": "0000000700000001-0", "max_height": 360}], "audio": []}}));
    assert!(table.commands.is_empty());
    table.say(ben, offer());
    let [
        Command::Join { participant, .. },
        Command::SetView { view, .. },
        Command::SetScreens { mids, .. },
        Command::Offer { request: 1, .. },
    ] = &table.commands[..]
    else {
        panic!("join, view, screens, offer");
    };
    assert_eq!(mids, &[Mid::new(b"1").expect("a mid")]);
    assert_eq!((view.video.len(), &view.audio), (1, &CoreAudioWish::Only(vec![])));
    let participant = *participant;
    assert_eq!(participant.0 >> 32, 7);

    table.core_says(CoreEvent::Answered { participant, request: 1, answer: Ok("v=0".to_owned()) });
    assert_eq!(
        table.said.last().expect("an answer"),
        &(Carrier::WebSocket(ben), json!({"type":"answer","re":1,"sdp":"v=0"}))
    );
    let screen = table.publish(participant, "1", 0);
    let (_, event) = table.said.iter().find(|(_, m)| m["kind"] == "published").expect("an event");
    assert_eq!(
        event["publication"],
        json!({"id": screen, "participant": ben_id, "kind": "video", "source": "screen", "simulcast": false, "mid": "1"})
    );
    table.publish(participant, "9", 1);
    assert_eq!(table.room.snapshot().publications[1].publication.source, crate::protocol::Source::Camera);

    // A fresh connection: the former one's publications are forgotten, and what it still says is ignored.
    table.clear();
    let mut fresh = offer();
    fresh["fresh"] = json!(true);
    table.say(ben, fresh);
    assert!(matches!(
        table.commands[..],
        [
            Command::Leave { .. },
            Command::Join { .. },
            Command::SetView { .. },
            Command::SetScreens { .. },
            Command::Offer { .. }
        ]
    ));
    assert_ne!(table.core(), participant);
    assert_eq!(table.kinds(host), ["unpublished", "unpublished"]);
    table.clear();
    table.publish(participant, "0", 2);
    assert!(table.said.is_empty());
}

#[test]
fn a_view_names_publications_or_roles_within_their_ranges() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let publication = PublicationId { participant: ParticipantId(0x0000_0007_0000_0001), index: 0 };
    let id = publication.to_string();
    table.clear();
    let view = json!([
        {"publication": id, "max_height": 720, "max_fps": 15, "priority": 10},
        {"role": "screen", "max_height": 1080},
        {"role": "speaker", "max_height": 360, "priority": 0},
    ]);
    table.say(ben, json!({"type": "view", "view": {"video": view}}));
    let [Command::SetView { view, .. }] = &table.commands[..] else { panic!("a view") };
    let wish = |source: VideoSource, max_height| VideoWish::new(source, max_height);
    assert_eq!(
        view.video,
        [
            VideoWish { max_fps: Some(15), priority: Some(10), ..wish(publication.into(), 720) },
            wish(CoreRole::Screen.into(), 1080),
            VideoWish { priority: Some(0), ..wish(CoreRole::Speaker.into(), 360) },
        ]
    );
    for wish in [
        json!({"publication": id, "role": "screen", "max_height": 720}),
        json!({"max_height": 720}),
        json!({"publication": "x", "max_height": 720}),
        json!({"role": "screen", "max_height": 0}),
        json!({"role": "screen", "max_height": 4321}),
        json!({"role": "screen", "max_height": 720, "max_fps": 0}),
        json!({"role": "screen", "max_height": 720, "max_fps": 121}),
        json!({"role": "screen", "max_height": 720, "priority": 11}),
    ] {
        table.clear();
        table.say(ben, json!({"type": "view", "view": {"video": [wish]}}));
        assert!(table.commands.is_empty(), "{wish}");
        assert_eq!(table.said.last().expect("a reply").1["code"], "invalid", "{wish}");
    }
}

#[test]
fn who_speaks_is_told_to_all_and_to_who_comes_later() {
    let mut table = Table::new();
    let (ana, _) = table.join("ana", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    let publication = PublicationId { participant: ParticipantId(0x0000_0007_0000_0001), index: 1 };
    let speaks = |table: &mut Table, speakers| {
        table.clear();
        table.core_says(CoreEvent::Speakers { room: table.room.core_id(), speakers });
    };
    let told = |table: &Table, to| {
        let mut messages = table.said.iter().filter(|(carrier, _)| *carrier == Carrier::WebSocket(to));
        messages.find(|(_, message)| message["type"] == "speakers").map(|(_, message)| message.clone())
    };
    speaks(&mut table, vec![Speaker { publication, level: 34 }]);
    let message =
        json!({"type": "speakers", "speakers": [{"publication": "0000000700000001-1", "level": 34}]});
    assert_eq!((told(&table, ana), told(&table, ben)), (Some(message.clone()), Some(message.clone())));
    let (cem, _) = table.join("cem", Role::Participant);
    assert_eq!(told(&table, cem), Some(message));
    assert_eq!(table.types(Carrier::WebSocket(cem))[0], "welcome");
    speaks(&mut table, Vec::new());
    assert_eq!(told(&table, ben), Some(json!({"type": "speakers", "speakers": []})));
    let (dan, _) = table.join("dan", Role::Participant);
    assert_eq!(told(&table, dan), None, "a welcome says that it is silent");
}

#[test]
fn an_offer_that_is_none_changes_nothing() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, json!({"type": "offer", "id": 5, "sdp": "hello", "fresh": true}));
    let reply = &table.said.last().expect("a reply").1;
    assert_eq!((&reply["re"], &reply["code"]), (&json!(5), &json!("bad_offer")));
    assert!(table.commands.is_empty());
}

#[test]
fn room_messages_take_the_channel_while_the_web_socket_is_gone() {
    let mut table = Table::new();
    let (host, _) = table.join("host", Role::Host);
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let channel = ChannelId(3);
    let other = CoreEvent::ChannelOpened { participant, channel: ChannelId(1), label: "other".to_owned() };
    table.core_says(other);
    table.core_says(CoreEvent::ChannelOpened { participant, channel, label: CHANNEL.to_owned() });
    table.clear();
    let carrier = Carrier::Channel(participant, channel);
    let chat = |id: u64| {
        Bytes::from(json!({"type": "do", "id": id, "action": {"kind": "chat", "text": "x"}}).to_string())
    };
    let data = |channel, text| CoreEvent::Data { participant, channel, data: Data::Text(text) };
    // Both open: the event takes the WebSocket, the reply the carrier that asked.
    table.core_says(data(channel, chat(1)));
    assert_eq!(table.types(Carrier::WebSocket(ben)), ["event"]);
    assert_eq!(table.types(carrier), ["done"]);
    // The WebSocket is gone.
    table.room.disconnect(table.now, ben);
    table.clear();
    table.act(host, json!({"kind": "chat", "text": "y"}));
    let slots = vec![SlotAssignment {
        mid: Mid::new(b"3").expect("a mid"),
        publication: None,
        role: None,
        paused: false,
        undecodable: None,
    }];
    table.core_says(CoreEvent::Slots { participant, slots });
    table.core_says(CoreEvent::Answered { participant, request: 9, answer: Ok("v=0".to_owned()) });
    assert_eq!(table.types(carrier), ["event", "slots"]);
    // A ping asks after the carrier it comes on.
    table.clear();
    table.core_says(data(channel, Bytes::from_static(br#"{"type":"ping"}"#)));
    assert_eq!(table.said, [(carrier, json!({"type": "pong"}))]);
    // Offers and leaving are not for the channel; other channels are not ours.
    table.clear();
    table.core_says(data(channel, Bytes::from_static(br#"{"type":"leave"}"#)));
    assert_eq!(table.said.last().expect("a reply").1["code"], "invalid");
    table.core_says(CoreEvent::Data { participant, channel, data: Data::Binary(Bytes::new()) });
    assert_eq!(table.said.last().expect("a reply").1["code"], "bad_json");
    table.clear();
    table.core_says(data(ChannelId(1), chat(1)));
    assert!(table.said.is_empty());
}

#[test]
fn a_slot_says_what_its_client_cannot_decode() {
    let mut table = Table::new();
    let (ben, _) = table.join("ben", Role::Participant);
    table.say(ben, offer());
    let participant = table.core();
    let publication = PublicationId { participant: ParticipantId(0x0000_0007_0000_0001), index: 2 };
    let slots = vec![SlotAssignment {
        mid: Mid::new(b"3").expect("a mid"),
        publication: None,
        role: Some((CoreRole::Screen, 0)),
        paused: false,
        undecodable: Some(publication),
    }];
    table.core_says(CoreEvent::Slots { participant, slots });
    let failed = json!({"publication": "0000000700000001-2", "reason": "unsupported_codec"});
    let slot = json!({"mid": "3", "publication": null, "role": "screen", "failed": failed});
    assert_eq!(table.said.last().expect("a message").1, json!({"type": "slots", "slots": [slot]}));
}
