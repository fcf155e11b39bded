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
