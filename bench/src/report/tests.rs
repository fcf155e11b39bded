use super::*;

fn report() -> Report {
    Report {
        schema: 1,
        tool: "simmer-bench fanout",
        version: "0.1.0",
        config: RunConfig {
            url: "http://127.0.0.1:7443".into(),
            room: "bench".into(),
            publishers: 1,
            subscribers: 50,
            duration_s: 20,
            warmup_s: 3,
            bitrate_bps: 1_500_000,
            fps: 30,
            audio: false,
            join_interval_ms: 50,
            feedback_ms: 100,
            threads: 1,
            media_port: None,
            seed: 1,
        },
        interrupted: false,
        window_s: 20.0,
        joins: Joins {
            wanted: 50,
            joined: 49,
            failures: vec!["subscriber 3: timeout".into()],
            ..Joins::default()
        },
        video: Media { expected: 1000, received: 999, loss_percent: 0.1, ..Media::default() },
        audio: None,
        latency_us: Percentiles { count: 10, min: 80.0, p50: 100.0, p95: 200.0, p99: 300.0, max: 400.0 },
        publishers: PublisherReport::default(),
        feedback: Feedback::default(),
        server: Some(ServerCost {
            pid: 7,
            cpu_s: 1.0,
            cpu_percent: 5.0,
            us_per_packet: 1.25,
            packets_per_s: 40_000.0,
            rss_before_kib: 10_240,
            rss_after_kib: 20_480,
            peak_rss_kib: 20_480,
        }),
        bench: BenchCost::default(),
        objectives: vec![
            Objective::at_most("loss percent", 0.1, 0.05),
            Objective::at_most("corrupt", 0.0, 0.0),
        ],
        warnings: vec!["the bench was busy".into()],
    }
}

/// The fields other tools read, by the names `README.md` gives.
#[test]
fn the_json_has_the_documented_fields() {
    let json = serde_json::to_value(report()).expect("serializable");
    for pointer in [
        "/schema",
        "/config/subscribers",
        "/window_s",
        "/joins/join_ms/p95",
        "/video/loss_percent",
        "/video/received",
        "/latency_us/p99",
        "/publishers/late",
        "/feedback/misdirected",
        "/server/us_per_packet",
        "/server/rss_after_kib",
        "/bench/busiest_thread_percent",
        "/objectives/0/met",
        "/warnings/0",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    assert_eq!(json["schema"], 1);
    assert_eq!(json["objectives"][0]["met"], false);
    assert!(json["audio"].is_null());
}

#[test]
fn one_missed_objective_is_a_missed_run() {
    let mut report = report();
    assert!(!report.is_met());
    report.objectives.remove(0);
    assert!(report.is_met());
}

#[test]
fn the_table_says_what_matters() {
    let table = report().to_string();
    for words in
        ["49 of 50", "0.1000 % lost", "1.25 us a packet", "MISSED loss percent", "subscriber 3: timeout"]
    {
        assert!(table.contains(words), "{words}\n{table}");
    }
}

#[test]
fn percentiles_are_in_the_unit_asked_for() {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000, 3).expect("valid bounds");
    assert_eq!(Percentiles::of(&histogram, 1.0), Percentiles::default());
    (1..=1000).for_each(|value| histogram.record(value).expect("in range"));
    let percentiles = Percentiles::of(&histogram, 0.5);
    assert_eq!((percentiles.count, percentiles.min, percentiles.p50), (1000, 0.5, 250.0));
    assert_eq!((percentiles.p95, percentiles.p99, percentiles.max), (475.0, 495.0, 500.0));
}
