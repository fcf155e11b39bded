use std::time::Duration;

use super::*;

fn stat(steal: &str) -> String {
    format!(
        "cpu  900 10 300 4000 50 0 7{steal}\ncpu0 450 5 150 2000 25 0 3 1 0 0\ncpu1 450 5 150 2000 25 0 4 1 0 0\nintr 7\n"
    )
}

fn parsed(stat: &str, at: Instant) -> Stolen {
    Stolen::parse(stat, at).expect("a system that tells")
}

#[test]
fn what_is_stolen_is_the_eighth_number_of_all_processors() {
    let at = Instant::now();
    let stolen = parsed(&stat(" 33 60 70"), at);
    assert_eq!(stolen, Stolen { at, us: 330_000, processors: 2 });
    assert_eq!(parsed("cpu  1 2 3 4 5 6 7 8\n", at), Stolen { at, us: 80_000, processors: 1 });
}

#[test]
fn a_system_that_does_not_tell_is_no_error() {
    for silent in ["", "intr 7\n", &stat(""), &stat(" - 0 0"), "cpu0 1 2 3 4 5 6 7 8 9 10\n"] {
        assert_eq!(Stolen::parse(silent, Instant::now()), None, "{silent}");
    }
}

#[test]
fn it_is_a_share_of_the_time_of_all_processors() {
    let at = Instant::now();
    let before = parsed(&stat(" 100 0 0"), at);
    let share = |ticks: u64, seconds| {
        parsed(&stat(&format!(" {ticks} 0 0")), at + Duration::from_secs(seconds)).percent_since(&before)
    };
    // 0.8 s of twice eight.
    assert_eq!(share(180, 8), 5.0);
    assert_eq!(share(100, 8), 0.0);
    assert_eq!(share(90, 8), 0.0, "a host that counts back has not given anything");
    assert_eq!(share(900, 1), 100.0, "nor can it take more than there is");
    assert_eq!(share(101, 0), 100.0, "even in no time");
}

#[test]
fn figures_are_doubted_from_one_percent_on() {
    assert_eq!([None, Some(0.0), Some(DOUBTFUL_PERCENT)].map(doubt), [None, None, None]);
    let doubt = doubt(Some(6.06)).expect("that is too much");
    assert!(
        doubt.starts_with(
            "the host of this virtual machine gave 6.1 % of its processors' time to others meanwhile: "
        ),
        "{doubt}"
    );
}
