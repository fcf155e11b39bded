use super::*;
use crate::objectives::Limits;
use crate::scenario::Link;

pub(crate) fn report() -> Report {
    Report {
        schema: 2,
        tool: "simmer-bench",
        version: "0.1.0",
        config: RunConfig {
            whip: None,
            whep: None,
            url: "http://127.0.0.1:7443".into(),
            room: "bench".into(),
            threads: 1,
            media_port: None,
            seed: 1,
            scenario: Scenario::load("broadcast").expect("it is shipped"),
        },
        interrupted: false,
        window_s: 20.0,
        stolen_percent: Some(0.5),
        joins: Joins {
            wanted: 50,
            joined: 49,
            failures: vec!["subscriber 3: timeout".into()],
            ..Joins::default()
        },
        video: Some(Media { expected: 1000, received: 999, loss_percent: 0.1, ..Media::default() }),
        audio: None,
        av_offset_ms: Percentiles::default(),
        events: Events::default(),
        samples: Vec::new(),
        latency_us: Percentiles { count: 10, min: 80.0, p50: 100.0, p95: 200.0, p99: 300.0, max: 400.0 },
        publishers: PublisherReport::default(),
        feedback: Feedback::default(),
        server: Some(ServerCost {
            pid: 7,
            cpu_s: 1.0,
            cpu_percent: 5.0,
            us_per_packet: 1.25,
            packets_per_s: 40_000.0,
            join_cpu_ms: 3.5,
            kib_per_member: 180.0,
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
        "/config/scenario/group/0/count",
        "/joins/complete_ms/p95",
        "/joins/failed",
        "/video/freezes",
        "/events/missed",
        "/av_offset_ms/max",
        "/server/join_cpu_ms",
        "/server/kib_per_member",
        "/samples",
        "/window_s",
        "/stolen_percent",
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
    assert_eq!(json["schema"], 2);
    assert_eq!(json["objectives"][0]["met"], false);
    assert!(json["audio"].is_null());
}

#[test]
fn rows_tell_goal_and_figure_of_what_was_asked_for() {
    let mut report = report();
    report.objectives = Limits { max_us_per_packet: Some(1.0), ..Limits::default() }.judge(&report);
    let rows = report.rows("1 to 50", None);
    assert!(rows.contains("| 1 to 50 | server time a packet in us | 1 | 1.25 **missed** |"), "{rows}");
    assert!(rows.contains("| 1 to 50 | members that did not join or stay | 0 | 1.00 **missed** |"), "{rows}");
    assert!(!rows.contains("corrupt"), "what always holds is told only when it does not: {rows}");
    assert!(rows.contains("the bench was busy"), "{rows}");
}

#[test]
fn what_the_server_took_is_told_in_floors_where_one_is_known() {
    let mut report = report();
    let rows = report.rows("1 to 50", Some(0.5));
    assert!(rows.contains("| 1 to 50 | server time a packet, in floors | - | 2.50 |"), "1.25 us: {rows}");
    assert!(!report.rows("1 to 50", None).contains("floors"));
    report.server = None;
    assert!(!report.rows("1 to 50", Some(0.5)).contains("floors"));
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
    for words in [
        "1 creator, 200 fan",
        "49 of 50",
        "0.1000 % lost",
        "1.25 us a packet",
        "3.50 ms to join, 180 KiB",
        "taken by the host     0.5 % of all processors' time",
        "MISSED loss percent",
        "subscriber 3: timeout",
    ] {
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

#[test]
fn limits_are_judged_and_the_command_line_goes_first() {
    let mut report = report();
    let scenario = Limits { max_loss_percent: Some(1.0), max_freezes: Some(0.0), ..Limits::default() };
    let typed = Limits { max_loss_percent: Some(0.01), max_join_cpu_ms: Some(3.0), ..Limits::default() };
    let judged = typed.or(scenario).judge(&report);
    let named = |name: &str| judged.iter().find(|objective| objective.name == name).cloned();
    let loss = named("loss in percent").expect("judged");
    assert_eq!((loss.limit, loss.value, loss.met), (0.01, 0.1, false));
    assert!(named("freezes").is_some_and(|freezes| freezes.met));
    assert!(named("server time a join in ms").is_some_and(|join| !join.met));
    assert!(named("members that did not join or stay").is_some_and(|missing| !missing.met), "49 of 50");
    assert!(named("latency p99 in ms").is_none(), "nobody asked for it");
    report.feedback.pauses = 1;
    let held_back = |report: &Report| {
        let judged = typed.judge(report);
        judged.into_iter().find(|objective| objective.name == "pictures held back")
    };
    assert!(held_back(&report).is_some_and(|objective| !objective.met), "the lines are wide");
    report.config.scenario.link = Some(Link { rate: Some(1_000_000), ..Link::default() });
    assert!(held_back(&report).is_none(), "a narrow line has no room for everything");
    report.server = None;
    let judged = typed.judge(&report);
    let cost = judged.iter().find(|objective| objective.name == "server time a join in ms");
    assert!(cost.is_some_and(|cost| !cost.met), "what was not measured is not met");
}
