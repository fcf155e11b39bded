use std::io::IoSliceMut;
use std::net::UdpSocket;

use clap::Parser as _;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};

use super::*;
use crate::args::{Cli, Command};
use crate::scenario::Scenario;

fn floor() -> Floor {
    let picture =
        Price { packets_per_s: 150.0, packets_per_send: 5.0, octets: 1120.0, send_us: 0.5, seal_us: 0.25 };
    let sound =
        Price { packets_per_s: 50.0, packets_per_send: 1.0, octets: 150.0, send_us: 2.0, seal_us: 0.15 };
    Floor { schema: 1, viewers: 100, max_segments: 64, picture, sound, stolen_percent: Some(0.5) }
}

#[test]
fn a_viewer_s_packet_is_as_much_as_its_pictures_and_sounds_together() {
    // 150 of 0.75 us and 50 of 2.15 in a second.
    assert!(
        (floor().picture_and_sound_us() - 220.0 / 200.0).abs() < 1e-9,
        "{}",
        floor().picture_and_sound_us()
    );
}

#[test]
fn rows_have_figures_and_no_goals() {
    let rows = floor().rows("floor");
    let expected = [
        "| floor | a packet of picture and sound, in us | - | 1.10 |",
        "| floor | a packet of pictures alone, in us | - | 0.75 |",
        "| floor | a packet of sound alone, in us | - | 2.15 |",
        "| floor | sending: each of 5.0 in one send; one alone | - | 0.50; 2.00 |",
        "| floor | sealing: one of 1120 octets; of 150 | - | 0.25; 0.15 |",
        "| floor | taken by the host, in percent of all processors; doubts | - | 0.5; none |",
    ];
    assert_eq!(rows.lines().collect::<Vec<_>>(), expected);
    let without = Floor { max_segments: 1, ..floor() }.rows("floor");
    assert!(without.contains("(this system has no UDP_SEGMENT)"), "{without}");
    let last = |stolen_percent| {
        let rows = Floor { stolen_percent, ..floor() }.rows("floor");
        rows.lines().next_back().and_then(|row| row.split(" | ").nth(3)).map(str::to_owned)
    };
    assert_eq!(last(None).as_deref(), Some("unknown; none |"));
    let doubt = stolen::doubt(Some(6.06)).expect("a doubt");
    assert_eq!(last(Some(6.06)), Some(format!("6.1; {doubt} |")));
}

#[test]
fn bursts_are_what_the_broadcast_publishes() {
    let broadcast = Scenario::load("broadcast").expect("it is shipped");
    let creator = broadcast.groups.first().expect("a creator");
    assert_eq!((creator.video, creator.audio), (Some(burst::VIDEO), true));
    let pictures = burst::pictures();
    let packets: usize = pictures.iter().map(|picture| picture.packets).sum();
    let octets: usize = pictures.iter().map(|picture| picture.packets * picture.octets).sum();
    assert_eq!(pictures.len(), 300);
    assert!(pictures[0].packets > 15, "a key frame comes first: {:?}", pictures[0]);
    assert!(pictures[1..].iter().all(|picture| (4..=7).contains(&picture.packets)), "{pictures:?}");
    // Headers, tags and padding are at most a twelfth of 1.5 Mbit/s.
    let rate = octets as f64 * 8.0 / 10.0;
    assert!((1_500_000.0..1_620_000.0).contains(&rate), "{rate}, {packets} packets");
    let sounds = burst::sounds();
    assert_eq!(sounds.len(), 500);
    assert!(
        sounds.iter().all(|sound| sound.packets == 1 && (100..=200).contains(&sound.octets)),
        "{sounds:?}"
    );
}

/// What came at once, each time: how many octets, and of which size.
fn read(socket: &UdpSocket) -> Vec<(usize, usize)> {
    let state = UdpSocketState::new(UdpSockRef::from(socket)).expect("a socket");
    let mut buffer = vec![0; 65_536];
    let mut meta = [RecvMeta::default()];
    std::iter::from_fn(|| {
        state.recv(UdpSockRef::from(socket), &mut [IoSliceMut::new(&mut buffer)], &mut meta).ok()?;
        Some((meta[0].len, meta[0].stride))
    })
    .collect()
}

#[test]
fn each_viewer_gets_a_picture_in_one_send_and_each_sound_alone() {
    let sockets = viewers::sockets(3, 1 << 20).expect("three sockets");
    let mut viewers = Viewers::at(&sockets).expect("three viewers");
    let (picture, sound) = (Burst { packets: 6, octets: 1120 }, Burst { packets: 1, octets: 150 });
    let sent = [picture, sound, sound].map(|burst| viewers.send(burst).expect("sent"));
    assert_eq!(sent, [18, 3, 3]);
    let alone = [(150, 150); 2];
    let whole: &[(usize, usize)] =
        if viewers.max_segments() > 1 { &[(6 * 1120, 1120)] } else { &[(1120, 1120); 6] };
    assert_eq!(viewers.sends(picture), whole.len());
    for socket in &sockets {
        assert_eq!(read(socket), [whole, &alone].concat());
    }
}

#[test]
fn what_is_more_than_one_send_takes_goes_in_several() {
    let sockets = viewers::sockets(1, 1 << 20).expect("a socket");
    let mut viewers = Viewers::at(&sockets).expect("a viewer");
    let burst = Burst { packets: viewers.max_segments() + 1, octets: 200 };
    viewers.send(burst).expect("sent");
    let read = read(&sockets[0]);
    assert_eq!((read.len(), viewers.sends(burst)), (2, 2));
    assert_eq!(read.iter().map(|(octets, _)| octets / 200).sum::<usize>(), burst.packets);
}

#[test]
fn every_packet_of_a_burst_is_sealed_for_each_viewer() {
    let sockets = viewers::sockets(2, NO_ROOM).expect("two sockets");
    let mut viewers = Viewers::at(&sockets).expect("two viewers");
    assert_eq!(viewers.seal(Burst { packets: 3, octets: 1120 }).expect("sealed"), 6);
}

fn parse(words: &[&str]) -> Result<FloorArgs, clap::Error> {
    let words = ["simmer-bench", "floor"].iter().chain(words);
    Cli::try_parse_from(words).map(|cli| match cli.command {
        Command::Floor(args) => args,
        _ => unreachable!("floor was asked for"),
    })
}

#[test]
fn it_is_bounded_in_count_and_time() {
    assert_eq!(parse(&[]).map(|args| (args.viewers, args.duration)).ok(), Some((100, 1)));
    for words in [["--viewers", "0"], ["--viewers", "501"], ["--duration", "0"], ["--duration", "11"]] {
        assert!(parse(&words).is_err(), "{words:?}");
    }
    for words in [
        &["--floor-us", "1"][..],
        &["--floor-us", "1", "--rows", "x"],
        &["--floor-us", "0", "--rows", "x", "--server-pid", "1"],
    ] {
        let words = ["simmer-bench", "run", "broadcast"].iter().chain(words);
        assert!(Cli::try_parse_from(words.clone()).is_err(), "{:?}", words.collect::<Vec<_>>());
    }
    let ramp = ["simmer-bench", "ramp", "crowd", "--rows", "x"];
    assert!(Cli::try_parse_from(ramp).is_err(), "its sizes are rows already");
    let right = ["simmer-bench", "run", "broadcast", "--floor-us", "1.2", "--rows", "x", "--server-pid", "1"];
    assert!(Cli::try_parse_from(right).is_ok());
}

#[test]
fn the_machine_is_measured() {
    let args = parse(&["--viewers", "4"]).expect("valid");
    let floor = Floor::measure(&args).expect("a machine that sends on loopback");
    let octets = (floor.picture.octets, floor.sound.octets);
    assert!((1000.0..1200.0).contains(&octets.0) && (100.0..200.0).contains(&octets.1), "{floor:?}");
    assert_eq!(floor.stolen_percent.is_some(), Stolen::now().is_some(), "{floor:?}");
    assert_eq!((floor.viewers, floor.sound.packets_per_s, floor.sound.packets_per_send), (4, 50.0, 1.0));
    let segments = if floor.max_segments > 1 { 5.0..7.0 } else { 1.0..1.1 };
    assert!(segments.contains(&floor.picture.packets_per_send), "{floor:?}");
}
