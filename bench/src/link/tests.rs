use super::*;

const COUNT: u32 = 50_000;

/// Sends `COUNT` packets of 100 bytes, one a millisecond, and returns what arrived: (number, how long it took).
fn run(config: LinkConfig) -> (Vec<(u32, Duration)>, LinkStats) {
    let start = Instant::now();
    let mut link = Link::new(config);
    let mut arrived = Vec::new();
    let mut take = |link: &mut Link<Vec<u8>>, until: Instant| {
        while let Some(at) = link.poll_timeout().filter(|at| *at <= until) {
            let packet = link.poll(at).expect("a packet is due");
            let number = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
            arrived.push((number, at - (start + Duration::from_millis(u64::from(number)))));
        }
    };
    for number in 0..COUNT {
        let now = start + Duration::from_millis(u64::from(number));
        take(&mut link, now);
        let mut packet = vec![0; 100];
        packet[..4].copy_from_slice(&number.to_be_bytes());
        link.handle(now, packet);
    }
    take(&mut link, start + Duration::from_secs(3600));
    (arrived, link.stats())
}

/// Whether `count` of `COUNT` is the share `expected`, within five standard deviations.
fn is_share(count: u64, expected: f64) -> bool {
    let deviation = (expected * (1.0 - expected) / f64::from(COUNT)).sqrt();
    (count as f64 / f64::from(COUNT) - expected).abs() <= 5.0 * deviation
}

#[test]
fn an_ideal_link_passes_everything_at_once() {
    let (arrived, stats) = run(LinkConfig::default());
    assert_eq!(arrived.len(), COUNT as usize);
    assert!(arrived.iter().enumerate().all(|(at, (number, took))| at as u32 == *number && took.is_zero()));
    assert_eq!((stats.entered, stats.delivered), (u64::from(COUNT), u64::from(COUNT)));
}

#[test]
fn the_same_seed_gives_the_same_link() {
    let config = LinkConfig {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(10),
        loss: 0.05,
        reorder: 0.02,
        duplicate: 0.01,
        seed: 9,
        ..LinkConfig::default()
    };
    assert_eq!(run(config), run(config));
    assert_ne!(run(config).0, run(LinkConfig { seed: 10, ..config }).0);
}

#[test]
fn delay_and_jitter_are_even_and_keep_the_order() {
    let (delay, jitter) = (Duration::from_millis(25), Duration::from_micros(400));
    let (arrived, _) = run(LinkConfig { delay, jitter, ..LinkConfig::default() });
    assert!(arrived.is_sorted_by_key(|(number, _)| *number));
    assert!(arrived.iter().all(|(_, took)| *took >= delay - jitter && *took <= delay + jitter));
    let mean = arrived.iter().map(|(_, took)| took.as_secs_f64()).sum::<f64>() / f64::from(COUNT);
    assert!((mean - 0.025).abs() < 0.000_01, "{mean}");
    let below = arrived.iter().filter(|(_, took)| *took < delay - jitter / 2).count() as u64;
    assert!(is_share(below, 0.25), "{below}");

    let (arrived, _) = run(LinkConfig { delay, jitter: delay, ..LinkConfig::default() });
    assert!(arrived.is_sorted_by_key(|(number, _)| *number), "jitter above the spacing delays, not reorders");
}

#[test]
fn random_loss_is_the_share_asked_for_and_independent() {
    let (arrived, stats) = run(LinkConfig { loss: 0.05, seed: 1, ..LinkConfig::default() });
    assert!(is_share(stats.lost, 0.05), "{}", stats.lost);
    assert_eq!(arrived.len() as u64 + stats.lost, u64::from(COUNT));
    let pairs = arrived.windows(2).filter(|pair| pair[1].0 - pair[0].0 >= 3).count() as u64;
    assert!(is_share(pairs, 0.05 * 0.05 * 0.95), "two in a row as often as chance has it: {pairs}");
}

#[test]
fn burst_loss_has_the_share_and_length_of_the_model() {
    let burst = BurstLoss { enter: 0.01, leave: 0.2, loss: 1.0 };
    let (arrived, stats) = run(LinkConfig { burst: Some(burst), seed: 2, ..LinkConfig::default() });
    let share = stats.lost_in_bursts as f64 / f64::from(COUNT);
    assert!((share - 0.01 / 0.21).abs() < 0.008, "{share}");
    let bursts: Vec<u32> =
        arrived.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).filter(|lost| *lost > 0).collect();
    let length = bursts.iter().sum::<u32>() as f64 / bursts.len() as f64;
    assert!((length - 5.0).abs() < 0.8, "{length}");
}

#[test]
fn duplication_and_changed_order_are_the_shares_asked_for() {
    let config = LinkConfig {
        duplicate: 0.03,
        reorder: 0.02,
        reorder_by: Duration::from_millis(5),
        seed: 3,
        ..LinkConfig::default()
    };
    let (arrived, stats) = run(config);
    assert!(is_share(stats.duplicated, 0.03), "{}", stats.duplicated);
    assert_eq!(arrived.len() as u64, u64::from(COUNT) + stats.duplicated);
    let late = arrived.iter().filter(|(_, took)| *took == Duration::from_millis(5)).count() as u64;
    assert_eq!(late, stats.reordered);
    assert!(is_share(late, 0.02 * 1.03), "{late}");
    assert!(!arrived.is_sorted_by_key(|(number, _)| *number));
}

#[test]
fn a_rate_delays_and_a_full_queue_drops() {
    // 100 bytes a millisecond are 800 kbit/s.
    let fits = LinkConfig { rate_bps: Some(1_600_000), ..LinkConfig::default() };
    let (arrived, _) = run(fits);
    assert!(arrived.iter().all(|(_, took)| *took == Duration::from_micros(500)));

    let narrow = LinkConfig { rate_bps: Some(400_000), queue_bytes: 5_000, ..LinkConfig::default() };
    let (arrived, stats) = run(narrow);
    assert!(is_share(stats.dropped, 0.5), "{}", stats.dropped);
    let longest = arrived.iter().map(|(_, took)| *took).max().unwrap();
    assert!(longest >= Duration::from_millis(98) && longest <= Duration::from_millis(104), "{longest:?}");
}

#[test]
fn a_link_can_change_and_pause_while_it_runs() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut link = Link::new(LinkConfig::default());
    link.handle(at(0), vec![0; 100]);
    assert!(link.poll(at(0)).is_some());

    link.pause(at(20));
    link.handle(at(19), vec![0; 100]);
    assert_eq!((link.stats().lost_in_pauses, link.poll_timeout()), (1, None));

    let slow = LinkConfig { rate_bps: Some(80_000), delay: Duration::from_millis(5), ..link.config() };
    link.reconfigure(slow);
    link.handle(at(20), vec![0; 100]);
    link.handle(at(20), vec![0; 100]);
    assert_eq!(link.poll_timeout(), Some(at(35)), "10 ms for 800 bits, and the delay");
    let window = link.take_window();
    assert_eq!((window.bytes_in, window.bytes_out, window.lost), (400, 100, 1));
    assert_eq!(window.waits, [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(20)]);
    assert_eq!(link.take_window(), Window::default());
}
