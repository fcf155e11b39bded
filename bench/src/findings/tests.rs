use super::*;

/// What a report of two processors is warned of once it has been changed.
fn warned(change: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = crate::report::tests::report();
    report.bench.processors = 2;
    report.publishers.packets = 1000;
    report.joins.failed = report.joins.failures.len() as u64;
    change(&mut report);
    warnings(&report)
}

#[test]
fn a_run_is_doubted_from_where_its_figures_are_the_benchs_own() {
    let idle = warned(|report| {
        report.bench.busiest_thread_percent = BUSY_PERCENT;
        // With the 5 % that the server takes.
        report.bench.cpu_percent = 175.0;
        report.publishers.late = 10;
        report.stolen_percent = Some(1.0);
    });
    assert_eq!(idle, [""; 0]);

    let busy = warned(|report| report.bench.busiest_thread_percent = 85.6);
    assert_eq!(
        busy,
        [
            "a client thread was on a processor 86 % of the time: the bench is the bottleneck, use more --threads"
        ]
    );
    let full = warned(|report| report.bench.cpu_percent = 176.0);
    assert_eq!(full, ["server and bench used 181 % of 2 processors: the machine is full"]);
    let remote = warned(|report| {
        report.bench.cpu_percent = 176.0;
        report.server = None;
    });
    assert_eq!(remote, [""; 0], "a server elsewhere has processors of its own");
    let taken = warned(|report| report.stolen_percent = Some(6.0));
    assert_eq!(taken, stolen::doubt(Some(6.0)).as_slice());
    let late = warned(|report| report.publishers.late = 11);
    assert_eq!(late, ["more than 1 % of the packets left more than 20 ms late"]);
    let untold = warned(|report| report.joins.failed += 3);
    assert_eq!(untold, ["3 more failures are not listed"]);
    let cut_short = warned(|report| report.window_s = 0.0);
    assert_eq!(cut_short, ["the run ended before anything was measured"]);
}

#[test]
fn sessions_that_could_not_be_ended_are_counted_with_the_first_reason() {
    assert_eq!(unended(&[]), None);
    let told = ["410".to_owned(), "no answer".to_owned()];
    assert_eq!(unended(&told).as_deref(), Some("sessions that could not be ended: 2, the first since 410"));
}

#[test]
fn a_join_costs_what_the_server_used_until_the_last_had_everything_less_what_it_forwarded() {
    let passed = |members, cpu_us, received| Passed {
        members,
        usage: Usage {
            server: Some(ProcessUsage { cpu_us, rss_kib: 0, peak_rss_kib: 0, threads: 1 }),
            bench: ProcessUsage { cpu_us: 0, rss_kib: 0, peak_rss_kib: 0, threads: 1 },
            stolen: None,
        },
        received,
    };
    let coming = Coming { from: passed(1, 1_000_000, 1000), until: passed(101, 1_400_000, 51_000) };
    assert_eq!(coming.joining_us(4.0), Some(200_000.0));
    assert_eq!(coming.joining_us(0.0), Some(400_000.0), "nothing was forwarded in the window");
    assert_eq!(coming.joining_us(9.0), Some(0.0), "a dearer window than the time before");
    let mut elsewhere = coming;
    elsewhere.from.usage.server = None;
    assert_eq!(elsewhere.joining_us(4.0), None);
}
