use super::*;

const MEETING: &str = r#"
name = "meeting"
[[group]]
name = "member"
count = 10
video = { bitrate = 600_000 }
audio = true
sees = "all"
hears = 3
"#;

#[test]
fn every_shipped_scenario_can_be_run_and_is_named_after_its_file() {
    let shipped = Scenario::shipped().expect("all are valid");
    let names: Vec<&str> = shipped.iter().map(|scenario| scenario.name.as_str()).collect();
    assert_eq!(names, SHIPPED.map(|(name, _)| name));
    assert!(shipped.iter().all(|scenario| !scenario.about.is_empty()));
}

#[test]
fn members_have_a_slot_for_each_other_they_see_and_hear() {
    let scenario = Scenario::parse(MEETING).expect("valid");
    assert_eq!(scenario.slots(&scenario.groups[0]), (9, 3), "nobody sees themselves");
    let with_guest = format!("{MEETING}[[group]]\nname = \"guest\"\ncount = 1\nsees = 50\nhears = \"all\"\n");
    let scenario = Scenario::parse(&with_guest).expect("valid");
    assert_eq!(scenario.slots(&scenario.groups[1]), (10, 10), "there are no more than that");
}

#[test]
fn what_is_left_out_has_its_default() {
    let scenario = Scenario::parse(MEETING).expect("valid");
    assert_eq!((scenario.rooms, scenario.join_interval_ms, scenario.feedback_ms), (1, 50, 100));
    assert_eq!(scenario.groups[0].video, Some(Video { bitrate: 600_000, fps: 30 }));
}

#[test]
fn what_cannot_be_run_is_refused_with_a_sentence() {
    for (change, word) in [
        ("stay_s = 3.0", "stays for the whole run"),
        ("video = { bitrate = 1 }", "bitrates"),
        ("chats_per_min = -1.0", "chats_per_min"),
        ("hears = \"some\"", "hears"),
        ("heers = 3", "heers"),
        ("count = 501", "500"),
    ] {
        let key = change.split(' ').next().expect("a word");
        let kept = MEETING.lines().filter(|line| !line.starts_with(&format!("{key} ")));
        let text = kept.chain([change]).collect::<Vec<_>>().join("\n");
        let error = format!("{:#}", Scenario::parse(&text).expect_err(change));
        assert!(error.contains(word), "{change}: {error}");
    }
    let open_and_closed = "name = \"x\"\n[[group]]\nname = \"v\"\nsees = \"all\"\nstay_s = 1.0\naway_s = 1.0\narrivals_per_s = 2.0";
    let error = format!("{:#}", Scenario::parse(open_and_closed).expect_err("both models"));
    assert!(error.contains("not both"), "{error}");
}
