use super::*;

#[test]
fn clients_keep_their_own_way_to_the_target_and_back() {
    let target = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() };
    let relay = Relay::bind(any, target.local_addr().expect("bound"), config, config).expect("a port");
    let address = relay.local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || relay.run(&stopped));

    let clients: Vec<_> = (0..2).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    let mut buffer = [0; 16];
    let mut seen = Vec::new();
    for (index, client) in clients.iter().enumerate() {
        client.send_to(&[index as u8], address).expect("sent");
        let (len, from) = target.recv_from(&mut buffer).expect("relayed");
        assert_eq!(buffer[..len], [index as u8]);
        assert!(!seen.contains(&from), "every client has its own upstream port");
        seen.push(from);
    }
    for (index, from) in seen.iter().enumerate() {
        target.send_to(&[index as u8 + 100], from).expect("sent");
    }
    for (index, client) in clients.iter().enumerate() {
        let (len, from) = client.recv_from(&mut buffer).expect("relayed back");
        assert_eq!((&buffer[..len], from), (&[index as u8 + 100][..], address));
    }
    stop.store(true, Ordering::Relaxed);
    let stats = thread.join().expect("no panic").expect("no error");
    assert_eq!((stats.clients, stats.up.delivered, stats.down.delivered), (2, 2, 2));
}

#[test]
fn a_client_whose_address_changes_is_reached_at_the_new_one() {
    let target = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = LinkConfig::default();
    let relay = Relay::bind(any, target.local_addr().expect("bound"), config, config).expect("a port");
    let relay = relay.sharing_down();
    let (address, control) = (relay.local_addr(), relay.control());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let (sender, reports) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        relay.run_reporting(&stopped, Duration::from_millis(10), &mut |report| {
            let _nobody_listens = sender.send(report);
        })
    });

    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut buffer = [0; 16];
    client.send_to(b"one", address).expect("sent");
    let (_, first) = target.recv_from(&mut buffer).expect("relayed");
    control.change(Change::Rebind);
    // What the client sends until the relay has heard of it still comes from the old port.
    let mut second = first;
    for _ in 0..1000 {
        client.send_to(b"two", address).expect("sent");
        (_, second) = target.recv_from(&mut buffer).expect("relayed");
        if second != first {
            break;
        }
    }
    assert_ne!(second, first, "the relay has a new port");
    target.send_to(b"back", second).expect("sent");
    let (len, _) = client.recv_from(&mut buffer).expect("relayed back");
    assert_eq!(&buffer[..len], b"back");
    let carried = reports.iter().any(|report| report.down.bytes_out == 4 && report.down.packets == 1);
    assert!(carried, "a report tells of the four bytes");
    stop.store(true, Ordering::Relaxed);
    let stats = thread.join().expect("no panic").expect("no error");
    assert_eq!((stats.clients, stats.down.delivered), (1, 1));
}
