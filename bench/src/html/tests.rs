use super::*;
use crate::objectives::Limits;
use crate::ramp::Saturation;
use crate::scenario::Scenario;

fn ramp() -> RampReport {
    let mut scenario = Scenario::load("crowd").expect("it is shipped");
    scenario.about = "a <b>bold</b> & \"quoted\" one".to_owned();
    let step = |members: u64, packets_per_s: f64, passed: &[&str]| Step {
        members,
        packets_per_s,
        passed: passed.iter().map(|words| (*words).to_owned()).collect(),
        stolen_percent: Some(0.25),
        ..Step::default()
    };
    RampReport {
        schema: 1,
        tool: "simmer-bench ramp",
        version: "0.1.0",
        scenario,
        grew: "crowd".into(),
        steps: vec![step(100, 18_000.0, &[]), step(200, 36_000.0, &[]), step(400, 41_000.0, &["loss"])],
        saturation: Some(Saturation { held: 200, passed: 400, why: "loss".into(), bench_was_full: false }),
        objective: Some(Objective::at_least("members", 200.0, 300.0)),
        processors: 2,
        warnings: vec!["doubtful <i>".into()],
    }
}

/// Everything the page could load from elsewhere or run.
fn assert_self_contained(page: &str) {
    for word in ["<script", "http-equiv", "@import", "url(", " src=", "<link", "<img", "<iframe"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_search_is_shown_with_its_steps_and_where_it_ended() {
    let page = ramp_page(&ramp());
    assert_self_contained(&page);
    for words in [
        "<b>200</b><span>members held",
        "400 members: loss",
        "too few members",
        "Throughput",
        "<td>36k</td>",
        "<td>0.25</td>",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert_eq!(page.matches("<circle").count(), 3, "one chart has values, the others are left out");
    assert_eq!(page.matches("class=\"band\"").count(), 1);
}

#[test]
fn what_others_wrote_stays_text() {
    let page = ramp_page(&ramp());
    assert!(page.contains("a &lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot; one"), "{page}");
    assert!(page.contains("doubtful &lt;i&gt;") && !page.contains("<i>"), "{page}");
}

#[test]
fn a_run_is_shown_with_what_grew_in_each_second() {
    let mut report = crate::report::tests::report();
    report.objectives = Limits { max_loss_percent: Some(0.05), ..Limits::default() }.judge(&report);
    let sample = |at_s: f64, received: u64, measured: bool| Sample {
        at_s,
        received,
        measured,
        members: 50,
        server_cpu_us: received * 2,
        ..Sample::default()
    };
    report.samples = vec![sample(1.0, 0, false), sample(2.0, 9000, true), sample(4.0, 27_000, true)];
    let page = run_page(&report);
    assert_self_contained(&page);
    for words in [
        "broadcast",
        "an objective is missed",
        "0.5 % of all",
        "49 of 50",
        "the bench was busy",
        "subscriber 3: timeout",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert!(page.contains("<title>packets: 9000 at 2</title>"), "nine thousand in a second: {page}");
    assert!(page.contains("<title>packets: 9000 at 4</title>"), "18 000 in two: {page}");
    assert!(page.contains("<td class=\"missed\">missed</td>"), "{page}");
    assert!(!page.contains("memory, MiB"), "a chart without values is left out: {page}");
}
