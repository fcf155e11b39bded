//! A publisher and subscribers on real sockets, joined by a few lines that answer and forward like a server.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::connection::ConnectionPlan;
use crate::flow::Flows;
use crate::sdp::{CandidateRule, MediaSection, sections};
use crate::source::{MediaKind, VideoConfig};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const VIDEO: u32 = 100;

/// The answering ends of one publisher and some subscribers. It loses every 40th packet on the way down.
struct Forwarder {
    up: Connection,
    down: Vec<Connection>,
    forwarded: Arc<AtomicU64>,
    video: u32,
}

impl Forwarder {
    fn run(mut self, stop: &AtomicBool) {
        let mut poll = Poll::new().expect("a poll");
        for (index, end) in std::iter::once(&mut self.up).chain(&mut self.down).enumerate() {
            poll.registry().register(end.socket_mut(), Token(index), Interest::READABLE).expect("registered");
        }
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; 2000];
        let mut inbound = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            poll.poll(&mut events, Some(Duration::from_millis(5))).expect("polled");
            self.up.receive(&mut buffer, &mut inbound);
            for (now, packet) in inbound.drain(..) {
                let Inbound::Rtp(mut packet) = packet else { continue };
                let count = self.forwarded.fetch_add(1, Ordering::Relaxed);
                let again = packet.header.ssrc == self.video + 1;
                packet.header.ssrc = VIDEO + u32::from(again);
                packet.header.extension = false;
                packet.header.extensions.clear();
                if count % 40 == 7 && !again {
                    continue;
                }
                for end in &mut self.down {
                    end.send_rtp(now, packet.clone());
                    end.flush();
                }
            }
            for end in &mut self.down {
                end.receive(&mut buffer, &mut inbound);
                for (now, packet) in inbound.drain(..) {
                    use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
                    use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
                    let Inbound::Rtcp(packets) = packet else { continue };
                    for packet in &packets {
                        if let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() {
                            let nack = TransportLayerNack { media_ssrc: self.video, ..nack.clone() };
                            self.up.send_rtcp(now, vec![Box::new(nack)]);
                        }
                        if let Some(pli) = packet.as_any().downcast_ref::<PictureLossIndication>() {
                            let pli = PictureLossIndication { media_ssrc: self.video, ..*pli };
                            self.up.send_rtcp(now, vec![Box::new(pli)]);
                        }
                    }
                }
            }
            let now = Instant::now();
            for end in std::iter::once(&mut self.up).chain(&mut self.down) {
                end.flush();
                if end.poll_timeout().is_some_and(|at| at <= now) {
                    end.handle_timeout(now);
                }
            }
        }
    }
}

fn negotiate(client: &mut Connection, plan: &ConnectionPlan) -> (Connection, Vec<MediaSection>) {
    let now = Instant::now();
    let offer = client.offer(now).expect("an offer");
    let (server, answer) = Connection::answering(now, plan, &offer).expect("an answer");
    client.accept(now, &answer, &CandidateRule { only: Some(LOCAL), port: None }).expect("accepted");
    (server, sections(&answer))
}

#[test]
fn what_is_published_is_received_whole_and_what_is_lost_is_recovered() {
    let flows = Arc::new(Flows::new(1, false));
    let config =
        VideoConfig { publisher: 0, bitrate_bps: 2_000_000, fps: 30, width: 640, height: 360, seed: 5 };
    let (notices, mut told) = tokio::sync::mpsc::unbounded_channel();
    let received = Arc::new(AtomicU64::new(0));
    let thread = ClientThread::spawn(0, received.clone()).expect("a thread");

    let mut publisher = Publisher::new(config, true, false, flows.clone());
    let plan = publisher.plan();
    let (video, _) = plan.send_video.expect("it sends video");
    let mut connection = Connection::new(Instant::now(), LOCAL, &plan).expect("a connection");
    let (up, answer) = negotiate(&mut connection, &ConnectionPlan::default());
    publisher.negotiated(&answer);
    thread.add(Client {
        id: 0,
        connection,
        publisher: Some(Box::new(publisher)),
        subscriber: None,
        notices: notices.clone(),
    });
    let mut down = Vec::new();
    for id in 1..=3 {
        let mut connection = Connection::new(
            Instant::now(),
            LOCAL,
            &ConnectionPlan { receive_video: 1, ..ConnectionPlan::default() },
        )
        .expect("a connection");
        let sends = ConnectionPlan { send_video: Some((VIDEO, VIDEO + 1)), ..ConnectionPlan::default() };
        let (end, answer) = negotiate(&mut connection, &sends);
        down.push(end);
        let mut subscriber = Subscriber::new((1, 0), 30, flows.clone());
        subscriber.negotiated(&answer);
        subscriber.set_slots(Instant::now(), &[(answer[0].mid.clone(), Some(0))]);
        let subscriber = Some(Box::new(subscriber));
        thread.add(Client { id, connection, publisher: None, subscriber, notices: notices.clone() });
    }
    let forwarded = Arc::new(AtomicU64::new(0));
    let forwarder = Forwarder { up, down, forwarded, video };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let server = std::thread::spawn(move || forwarder.run(&stopped));

    let mut seeing = 0;
    while seeing < 3 {
        let (_, notice) = told.blocking_recv().expect("a notice");
        assert_ne!(notice, Notice::Lost);
        seeing += u32::from(matches!(notice, Notice::Complete(_)));
    }
    let until = |count: u64| {
        let begin = received.load(Ordering::Relaxed);
        while received.load(Ordering::Relaxed) < begin + count {
            std::thread::yield_now();
        }
    };
    flows.open_window();
    thread.measure(true);
    until(1500);
    flows.close_window();
    thread.measure(false);
    until(300);
    let result = thread.finish().expect("no error");
    stop.store(true, Ordering::Relaxed);
    server.join().expect("no panic");

    let sent = flows.flow(0, MediaKind::Video).expect("its flow").measured();
    assert!(sent > 400, "{sent}");
    let mut subscribers = 0;
    for client in &result.clients {
        if let Some(counts) = client.publisher {
            assert!(counts.retransmitted > 0 && counts.packets > 400, "{counts:?}");
            assert_eq!(client.wire.unsent, 0);
        }
        let Some(seen) = client.subscriber else { continue };
        subscribers += 1;
        assert_eq!(seen.video.measured, sent, "nothing is lost in the end: {seen:?}");
        let delivery = Delivery { expected: sent, received: sent, streams: 1, whole: 1 };
        assert_eq!(seen.delivery, (delivery, Delivery::default()));
        assert!(seen.video.recovered >= sent / 50, "{seen:?}");
        let wrong = seen.video.corrupt + seen.video.sequence_breaks + seen.video.picture_id_breaks;
        assert_eq!(wrong + seen.video.timestamp_breaks + seen.video.marker_errors, 0, "{seen:?}");
        assert_eq!((seen.counts.unknown, seen.counts.misdirected), (0, 0), "{seen:?}");
        assert_eq!(client.wire.rtp, client.wire.opened + client.wire.duplicates, "{client:?}");
    }
    assert_eq!(subscribers, 3);
    assert!(result.latency.len() >= sent * 3 - 3 * 100);
}

#[test]
fn clients_are_due_in_order_and_early_calls_are_armed_again() {
    let begin = Instant::now();
    let at = |ms| begin + Duration::from_millis(ms);
    let mut timers = Timers::default();
    for (client, ms) in [(1, 50), (2, 20), (3, 30), (2, 10), (2, 40)] {
        timers.arm(client, Some(at(ms)));
    }
    timers.arm(4, None);
    assert_eq!(timers.next(), Some(at(10)));
    assert_eq!(timers.pop(at(9)), None);
    let mut due = Vec::new();
    while let Some(client) = timers.pop(at(30)) {
        due.push(client);
    }
    // The second's earlier wish and its first one; its last was later than both and is for its client to repeat.
    assert_eq!(due, [2, 2, 3]);
    timers.arm(2, Some(at(40)));
    assert_eq!((timers.pop(at(60)), timers.pop(at(60)), timers.pop(at(60))), (Some(2), Some(1), None));
}
