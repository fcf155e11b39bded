use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command};

fn options(words: &[&str]) -> RunOptions {
    let words = ["simmer-bench", "run", "broadcast"].iter().chain(words);
    match Cli::try_parse_from(words).expect("valid words").command {
        Command::Run(args) => args.options,
        other => panic!("{other:?}"),
    }
}

fn endpoints(words: &[&str]) -> Endpoints {
    Endpoints::new(&options(words), "the key").expect("valid addresses").expect("some")
}

const BOTH: [&str; 4] =
    ["--whip", "http://127.0.0.1:1/whip/{room}", "--whep", "http://127.0.0.1:1/whep/{room}"];

fn scenario(groups: &str) -> Scenario {
    Scenario::parse(&format!("name = \"s\"\n{groups}")).expect("a valid scenario")
}

#[test]
fn placeholders_are_filled_in_wherever_they_stand_behind_the_host() {
    let words = [
        "--whip",
        "http://127.0.0.1:8889/{room}/{member}/whip",
        "--whep",
        "http://[::1]/api?src={room}-{member}",
    ];
    let endpoints = endpoints(&words);
    let filled = |url: Result<Url>| url.expect("an address").to_string();
    assert_eq!(
        filled(endpoints.publish("a room/{member}", 2)),
        "http://127.0.0.1:8889/a%20room%2F%7Bmember%7D/2/whip"
    );
    assert_eq!(filled(endpoints.watch("r", 0)), "http://[::1]/api?src=r-0");
}

#[test]
fn what_is_no_address_is_refused_with_the_reason() {
    for (address, reason) in [
        ("127.0.0.1:8889/whip", "is no address"),
        ("ftp://127.0.0.1/whip", "must begin with http:// or https://"),
        ("http://user:secret@127.0.0.1/whip", "--bearer"),
        ("http://{room}.localhost/whip", "behind the host"),
        ("http://127.0.0.1/{stream}/whip", "only {room} and {member}"),
    ] {
        let error = Endpoints::new(&options(&["--whip", address]), "the key").expect_err(address);
        let error = format!("{error:#}");
        assert!(error.starts_with("--whip: ") && error.contains(reason), "{error}");
    }
    assert!(Endpoints::new(&options(&[]), "the key").expect("no address").is_none());
    let both = [
        "simmer-bench",
        "run",
        "broadcast",
        "--url",
        "http://127.0.0.1:1",
        "--whip",
        "http://127.0.0.1:1/whip",
    ];
    assert!(Cli::try_parse_from(both).is_err(), "two servers");
}

#[test]
fn a_token_is_given_signed_or_left_out() {
    let bearer = |words: &[&str]| endpoints(&[&BOTH, words].concat()).bearer("r", 3, "fan").expect("a token");
    assert_eq!(bearer(&["--bearer", "{room}-{member}"]).as_deref(), Some("r-3"));
    let given = endpoints(&[&BOTH[..], &["--bearer", "{room}"]].concat());
    assert_eq!(
        given.bearer("{member}", 3, "fan").expect("a token").as_deref(),
        Some("{member}"),
        "a name is left as it is"
    );
    assert_eq!(bearer(&["--bearer", ""]), None);
    let signed = bearer(&[]).expect("a signed one");
    assert_eq!(signed.split('.').count(), 3, "{signed}");
}

#[test]
fn what_these_protocols_cannot_do_is_refused_by_the_groups_name() {
    const PUBLISHER: &str = "[[group]]\nname = \"host\"\ncount = 1\nvideo = { bitrate = 500_000 }\n";
    for (groups, reason) in [
        ("count = 2\naudio = true\nhears = \"all\"", "who publishes sees and hears nobody"),
        ("count = 2", "publishes or watches"),
        ("count = 2\nsees = \"all\"\nchats_per_min = 1.0", "no chat"),
        (
            "count = 1\nvideo = { bitrate = 500_000 }\n[[group]]\nname = \"guest\"\ncount = 1\nsees = 2",
            "would see 2",
        ),
        ("count = 1\naudio = true\n[[group]]\nname = \"guest\"\ncount = 1\nhears = 1", "does not send all"),
    ] {
        let scenario = scenario(&format!("{PUBLISHER}[[group]]\nname = \"guest\"\n{groups}"));
        let error = endpoints(&BOTH).check(&scenario, 1).expect_err(groups);
        let error = format!("{error:#}");
        assert!(error.starts_with("the group guest: ") && error.contains(reason), "{error}");
    }
}

#[test]
fn one_path_is_for_one_publisher() {
    let two = scenario(
        "[[group]]\nname = \"host\"\ncount = 2\naudio = true\n[[group]]\nname = \"guest\"\ncount = 1\nhears = 1",
    );
    let refused = |words: &[&str], scenario: &Scenario, rooms| {
        endpoints(words).check(scenario, rooms).err().map(|error| format!("{error:#}"))
    };
    assert!(
        refused(&BOTH, &two, 1).is_some_and(|why| why.contains("2 publishers of a room: write {member}"))
    );
    let apart = ["--whip", "http://127.0.0.1/{room}/{member}", "--whep", "http://127.0.0.1/{room}/{member}"];
    assert_eq!(refused(&apart, &two, 3), None);
    let fixed = ["--whip", "http://127.0.0.1/whip", "--whep", "http://127.0.0.1/whep"];
    let broadcast = Scenario::load("broadcast").expect("shipped");
    assert_eq!(refused(&fixed, &broadcast, 1), None);
    assert!(refused(&fixed, &broadcast, 2).is_some_and(|why| why.contains("2 rooms: write {room}")));
    assert!(
        refused(&fixed[..2], &broadcast, 1)
            .is_some_and(|why| why == "the group fan: its members watch, and --whep is missing")
    );
    assert!(
        refused(&fixed[2..], &broadcast, 1)
            .is_some_and(|why| why == "the group creator: its members publish, and --whip is missing")
    );
}

#[test]
fn of_the_shipped_scenarios_those_with_one_publisher_can_be_played() {
    let played: Vec<String> = Scenario::shipped()
        .expect("they are valid")
        .into_iter()
        .filter(|scenario| endpoints(&BOTH).check(scenario, 1).is_ok())
        .map(|scenario| scenario.name)
        .collect();
    assert_eq!(played, ["broadcast", "crowd", "audience", "join-storm", "churn"]);
}
