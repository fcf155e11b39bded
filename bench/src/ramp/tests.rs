use super::*;

fn step(members: u64, loss_percent: f64, latency_p99_ms: f64) -> Step {
    let latency_us = Percentiles { p99: latency_p99_ms * 1000.0, ..Percentiles::default() };
    let mut step = Step { members, loss_percent, latency_us, ..Step::default() };
    step.judge(&Limits::default());
    step
}

#[test]
fn the_server_is_full_between_the_last_that_held_and_the_first_that_did_not() {
    let steps = [step(100, 0.0, 2.0), step(200, 0.1, 9.0), step(400, 7.0, 300.0)];
    let found = saturation(&steps, 2).expect("the last passed a limit");
    assert_eq!((found.held, found.passed, found.bench_was_full), (200, 400, false));
    assert!(
        found.why.contains("loss in percent: 7.00") && found.why.contains("latency p99"),
        "{}",
        found.why
    );
    assert_eq!(saturation(&steps[..2], 2), None, "nothing was passed yet");
    assert_eq!(saturation(&steps[2..], 2).map(|found| found.held), Some(0), "not even the first held");
}

#[test]
fn a_full_bench_is_told_from_a_full_server() {
    let mut last = step(400, 7.0, 2.0);
    last.busiest_thread_percent = 99.0;
    assert!(saturation(std::slice::from_ref(&last), 2).is_some_and(|found| found.bench_was_full));
    last.busiest_thread_percent = 40.0;
    (last.server_percent, last.bench_percent) = (99.0, 90.0);
    assert!(saturation(std::slice::from_ref(&last), 2).is_some_and(|found| found.bench_was_full));
    assert!(saturation(std::slice::from_ref(&last), 8).is_some_and(|found| !found.bench_was_full));
}

#[test]
fn a_search_is_doubted_where_the_host_took_most() {
    let taken = |members, stolen_percent| Step { members, stolen_percent, ..Step::default() };
    let full = Saturation { held: 100, passed: 200, why: "loss".into(), bench_was_full: false };
    let steps = [taken(50, Some(1.1)), taken(100, Some(4.0)), taken(200, Some(0.2))];
    let expected = format!("with 100 members {}", stolen::doubt(Some(4.0)).expect("a doubt"));
    assert_eq!(warnings(&steps, Some(&full)), [expected]);
    let calm = [taken(50, None), taken(100, Some(0.9))];
    assert_eq!(warnings(&calm, Some(&full)), [""; 0]);
    let bench = Saturation { bench_was_full: true, ..full };
    assert_eq!(
        warnings(&calm, Some(&bench)),
        ["the bench or the machine was full as well: the server may hold more"]
    );
    assert_eq!(warnings(&calm, None), ["no limit was passed: the server holds more than was asked of it"]);
}

#[test]
fn limits_asked_for_replace_the_usual_ones() {
    let mut step = step(10, 0.4, 40.0);
    assert!(step.passed.is_empty(), "{:?}", step.passed);
    step.judge(&Limits { max_loss_percent: Some(0.1), max_latency_p99_ms: Some(100.0), ..Limits::default() });
    assert_eq!(step.passed.len(), 1, "{:?}", step.passed);
    step.failed = 1;
    step.judge(&Limits::default());
    assert!(step.passed[0].contains("failed"), "{:?}", step.passed);
}

#[test]
fn sizes_grow_by_the_factor_and_always_grow() {
    let mut sizes = vec![1];
    while let Some(next) = next_size(sizes[sizes.len() - 1], 1.5, 12) {
        sizes.push(next);
    }
    assert_eq!(sizes, [1, 2, 3, 5, 8, 12]);
    assert_eq!(next_size(3, 1.01, 100), Some(4));
}
