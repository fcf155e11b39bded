//! Many in one room, and those who ask for too much.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use simmer_sfu::id::{ParticipantId, PublicationId, RoomId, Ssrc};
use simmer_sfu::message::{Command, DisconnectReason, Event};
use simmer_sfu::sim::{Client, ClientPlan, Line, PlainContext, PlainTransport, World, participant};
use simmer_sfu::view::{AudioWish, VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig, rtcp};

fn shard() -> Shard<PlainTransport> {
    let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
    Shard::new(config, PlainContext::default(), [1; 32])
}

/// Publishes a sound and a picture, and has some slots for each.
fn offer(number: u16, slots: usize) -> String {
    let plan = ClientPlan { number, publishes: vec![720], slots, parts: 1, ..ClientPlan::default() };
    let sdp = Client::new(plan, ([127, 0, 0, 1], 1).into()).offer();
    // Every second line a sound: the same line with another codec.
    let mut sections = sdp.split("m=video");
    let mut out = sections.next().unwrap_or_default().to_owned();
    let mut bundle = String::new();
    let mut lines = String::new();
    for (at, section) in sections.enumerate() {
        let (video, audio) = (format!("v{at}"), format!("a{at}"));
        bundle.push_str(&format!(" {video} {audio}"));
        lines.push_str(&format!(
            "m=video{}",
            section.replace(&format!("a=mid:{at}"), &format!("a=mid:{video}"))
        ));
        let sound: String = section
            .replace(&format!("a=mid:{at}"), &format!("a=mid:{audio}"))
            .replace("96 97", "96")
            .replace("VP8/90000", "opus/48000/2")
            .lines()
            .filter(|line| {
                !["rtx", "apt", "nack", "a=rid", "a=simulcast"].iter().any(|gone| line.contains(gone))
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        lines.push_str(&format!("m=audio{sound}"));
    }
    let start = out.find("BUNDLE").expect("a group") + "BUNDLE".len();
    out.truncate(start);
    format!("{out}{bundle}\r\n{lines}")
}

#[test]
fn five_hundred_join_with_sound_and_picture_and_everybody_hears_the_first() {
    const PEOPLE: u64 = 500;
    let mut shard = shard();
    let now = Instant::now();
    let mut refused = 0;
    for number in 0..PEOPLE {
        let participant = ParticipantId(number);
        shard.handle_message(now, Command::Join { room: RoomId(1), participant });
        let video = (0..25)
            .map(|other| VideoWish::new(PublicationId { participant: ParticipantId(other), index: 0 }, 180))
            .collect();
        shard.handle_message(
            now,
            Command::SetView { participant, view: View { video, audio: AudioWish::All } },
        );
        shard.handle_message(now, Command::Offer { participant, request: 0, sdp: offer(number as u16, 4) });
        while let Some(event) = shard.poll_event() {
            refused += u64::from(matches!(event, Event::Answered { answer: Err(_), .. }));
        }
    }
    assert_eq!(refused, 0);
    let counters = shard.counters();
    assert_eq!((counters.participants, counters.publications), (PEOPLE, 2 * PEOPLE));
    shard.handle_message(now, Command::Leave { participant: ParticipantId(1) });
    let mut told = 0;
    while let Some(event) = shard.poll_event() {
        if let Event::Slots { participant, slots } = event {
            told += 1;
            let shown: Vec<u64> = slots
                .iter()
                .filter(|slot| slot.mid.as_str().starts_with('a'))
                .filter_map(|slot| Some(slot.publication?.participant.0))
                .collect();
            assert_eq!(shown.len(), 4, "{participant}");
            assert!(shown.iter().all(|&owner| owner <= 5 && owner != 1 && owner != participant.0));
        }
    }
    assert_eq!(told, PEOPLE - 1, "all had that sound");
}

#[test]
fn a_view_of_thousands_is_cut() {
    let mut shard = shard();
    let now = Instant::now();
    for number in 0..2 {
        let participant = ParticipantId(number);
        shard.handle_message(now, Command::Join { room: RoomId(1), participant });
        shard.handle_message(now, Command::Offer { participant, request: 0, sdp: offer(number as u16, 1) });
    }
    while shard.poll_event().is_some() {}
    let wish = |participant, index| PublicationId { participant: ParticipantId(participant), index };
    let nobody = (0..5000).map(|index| wish(9, index));
    for (before, shown) in [(0, true), (View::MAX_WISHES - 1, true), (View::MAX_WISHES, false)] {
        shard.handle_message(now, Command::SetView { participant: ParticipantId(1), view: View::default() });
        let all: Vec<_> = nobody.clone().take(before).chain([wish(0, 0), wish(0, 1)]).collect();
        let video = all.iter().map(|&publication| VideoWish::new(publication, 720)).collect();
        let view = View { video, audio: AudioWish::Only(Vec::new()) };
        while shard.poll_event().is_some() {}
        shard.handle_message(now, Command::SetView { participant: ParticipantId(1), view });
        let mut filled = false;
        while let Some(event) = shard.poll_event() {
            if let Event::Slots { slots, .. } = event {
                filled |= slots.iter().any(|slot| slot.publication == Some(wish(0, 0)));
            }
        }
        assert_eq!(filled, shown, "after {before} others");
    }
}

#[test]
fn nothing_is_sealed_for_those_who_are_not_there() {
    let mut world = World::new(1);
    world.join(&[720], 0, Line::default());
    let viewer = world.join(&[], 1, Line::default());
    world.run_for(Duration::from_secs(5));
    let address = world.client(viewer).address;
    world.network.set_line(address, Line { loss: 1.0, ..Line::default() });
    world.run_for(Duration::from_secs(35));
    let before = world.shard.counters();
    world.run_for(Duration::from_secs(2));
    let after = world.shard.counters();
    assert!(after.packets_received > before.packets_received + 200);
    assert_eq!(after.packets_forwarded, before.packets_forwarded);
}

#[test]
fn a_storm_of_negative_acknowledgements_costs_a_quarter_of_the_stream() {
    let mut world = World::new(1);
    world.join(&[720], 0, Line::default());
    let viewer = world.join(&[], 1, Line::default());
    world.run_for(Duration::from_secs(10));
    let answer = world.events.iter().find_map(|event| match event {
        Event::Answered { request, answer: Ok(answer), .. } if *request == viewer as u64 => {
            Some(answer.clone())
        }
        _ => None,
    });
    let group = answer
        .as_deref()
        .and_then(|answer| answer.lines().find_map(|line| line.strip_prefix("a=ssrc-group:FID ")));
    let ssrc = Ssrc(group.and_then(|group| group.split(' ').next()?.parse().ok()).expect("a slot"));
    let address = world.client(viewer).address;
    let before = world.shard.counters();
    for _ in 0..200 {
        let last = *world.client(viewer).slots[0].received.keys().last().expect("a picture");
        for _ in 0..20 {
            let mut nack = Vec::new();
            let missing: Vec<u64> = (last - 400..=last).collect();
            rtcp::write_nack(&mut nack, Ssrc(1), ssrc, &missing);
            world.shard.handle_datagram(world.now, address, BytesMut::from(&nack[..]));
        }
        world.run_for(Duration::from_millis(50));
    }
    let after = world.shard.counters();
    let forwarded = after.packets_forwarded - before.packets_forwarded;
    let repeated = after.packets_retransmitted - before.packets_retransmitted;
    // A quarter, and what had been saved up before: 96 KiB of packets of some 930 bytes.
    assert!(repeated > forwarded / 5 && repeated < forwarded / 4 + 120, "{repeated} of {forwarded}");
}

#[test]
fn three_hundred_on_one_port_and_those_who_fall_silent_are_let_go_alone() {
    const VIEWERS: usize = 300;
    let mut world = World::new(3);
    let publisher = world.join(&[180], 0, Line::default());
    let viewers: Vec<usize> = (0..VIEWERS).map(|_| world.join(&[], 1, Line::default())).collect();
    world.run_for(Duration::from_secs(2));
    let received = |world: &World| -> Vec<usize> {
        viewers.iter().map(|&viewer| world.client(viewer).slots[0].received.len()).collect()
    };
    let before = received(&world);
    assert!(before.iter().all(|&packets| packets > 20), "{before:?}");

    // Nothing is sent meanwhile. One in forty is gone without a word: nothing comes from them any more.
    let (gone, there): (Vec<usize>, Vec<usize>) = (0..VIEWERS).partition(|at| at % 40 == 0);
    world.leave(publisher);
    for &at in &gone {
        let address = world.client(viewers[at]).address;
        world.network.set_line(address, Line { loss: 1.0, ..Line::default() });
    }
    let disconnected = |world: &World| -> Vec<ParticipantId> {
        let ends = world.events.iter().filter_map(|event| match event {
            Event::Disconnected { participant, reason: DisconnectReason::ConsentExpired } => {
                Some(*participant)
            }
            _ => None,
        });
        ends.collect()
    };
    // The last check of each was at most its interval before.
    world.run_for(Limits::default().consent - Duration::from_secs(6));
    assert_eq!(disconnected(&world), []);
    world.run_for(Duration::from_secs(7));
    let mut ended = disconnected(&world);
    ended.sort_unstable();
    assert_eq!(ended, gone.iter().map(|&at| participant(viewers[at])).collect::<Vec<_>>());
    let before = received(&world);
    world.join(&[180], 0, Line::default());
    world.run_for(Duration::from_secs(2));
    let after = received(&world);
    assert!(there.iter().all(|&at| after[at] > before[at] + 20), "{after:?} after {before:?}");
}
