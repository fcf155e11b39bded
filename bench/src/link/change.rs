//! What changes on a running link, said in one line of text.

use std::str::FromStr;
use std::time::Duration;

use super::{BurstLoss, LinkConfig};

/// One change, parsed from a line such as `down rate=600k loss=5`, `pause 3s` or `rebind`.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// New settings; those not named stay.
    Impair(Way, Vec<Setting>),
    /// Whatever comes in that time is lost.
    Pause(Way, Duration),
    /// Each client reaches the target from a new port, as after a change of its address.
    Rebind,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the target.
    Up,
    /// From the target to clients.
    Down,
    /// Up and down.
    Both,
}

impl Way {
    /// Whether that includes up.
    pub fn up(self) -> bool {
        self != Self::Down
    }

    /// Whether that includes down.
    pub fn down(self) -> bool {
        self != Self::Up
    }
}

/// One setting of a link. Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// See [`LinkConfig::delay`].
    Delay(Duration),
    /// See [`LinkConfig::jitter`].
    Jitter(Duration),
    /// See [`LinkConfig::loss`].
    Loss(f64),
    /// See [`BurstLoss::enter`]; bursts last 5 packets on average.
    Burst(f64),
    /// See [`LinkConfig::reorder`].
    Reorder(f64),
    /// See [`LinkConfig::duplicate`].
    Duplicate(f64),
    /// See [`LinkConfig::rate_bps`].
    Rate(Option<u64>),
    /// See [`LinkConfig::queue_bytes`].
    Queue(u64),
}

impl Setting {
    /// Puts it in place of what `config` said.
    pub fn apply(self, config: &mut LinkConfig) {
        match self {
            Self::Delay(delay) => config.delay = delay,
            Self::Jitter(jitter) => config.jitter = jitter,
            Self::Loss(loss) => config.loss = loss,
            Self::Burst(enter) => {
                config.burst = (enter > 0.0).then_some(BurstLoss { enter, leave: 0.2, loss: 1.0 });
            }
            Self::Reorder(reorder) => config.reorder = reorder,
            Self::Duplicate(duplicate) => config.duplicate = duplicate,
            Self::Rate(rate) => config.rate_bps = rate,
            Self::Queue(bytes) => config.queue_bytes = bytes,
        }
    }
}

/// Why a line is no change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Nothing but a direction, or nothing at all.
    #[error("say settings, `pause` or `rebind`")]
    Empty,
    /// An unknown word.
    #[error("`{0}` is no change")]
    Unknown(String),
    /// A value that cannot be.
    #[error("`{0}` is out of range or no number")]
    Value(String),
}

impl FromStr for Change {
    type Err = ChangeError;

    /// `[up|down] SETTING=VALUE…`, `[up|down] pause TIME` or `rebind`. Settings as the flags of `simmer-bench link`:
    /// delay and jitter in milliseconds, loss, burst, reorder and duplicate in percent, rate in bits per second with k
    /// or M behind it or `none`, queue in bytes. Times have s or ms behind them.
    fn from_str(line: &str) -> Result<Self, ChangeError> {
        let mut words = line.split_whitespace().peekable();
        let way = match words.peek() {
            Some(&"up") => Way::Up,
            Some(&"down") => Way::Down,
            Some(&"rebind") => return Ok(Self::Rebind),
            _ => Way::Both,
        };
        if way != Way::Both {
            words.next();
        }
        if words.next_if_eq(&"pause").is_some() {
            let time = words.next().unwrap_or_default();
            return parse_time(time).map(|time| Self::Pause(way, time));
        }
        let settings = words.map(str::parse).collect::<Result<Vec<Setting>, _>>()?;
        if settings.is_empty() { Err(ChangeError::Empty) } else { Ok(Self::Impair(way, settings)) }
    }
}

impl FromStr for Setting {
    type Err = ChangeError;

    fn from_str(word: &str) -> Result<Self, ChangeError> {
        let (name, value) = word.split_once('=').ok_or_else(|| ChangeError::Unknown(word.to_owned()))?;
        let within = |most: f64| {
            let number = value.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
            number.ok_or_else(|| ChangeError::Value(word.to_owned()))
        };
        let share = || within(100.0).map(|percent| percent / 100.0);
        let time = || within(60_000.0).map(|ms| Duration::from_secs_f64(ms / 1000.0));
        match name {
            "delay" => time().map(Self::Delay),
            "jitter" => time().map(Self::Jitter),
            "loss" => share().map(Self::Loss),
            "burst" => share().map(Self::Burst),
            "reorder" => share().map(Self::Reorder),
            "duplicate" => share().map(Self::Duplicate),
            "rate" if value == "none" => Ok(Self::Rate(None)),
            "rate" => {
                let rate =
                    crate::args::parse_bitrate(value).map_err(|_| ChangeError::Value(word.to_owned()))?;
                Ok(Self::Rate(Some(rate.into())))
            }
            "queue" => within(1e9).map(|bytes| Self::Queue(bytes as u64)),
            _ => Err(ChangeError::Unknown(word.to_owned())),
        }
    }
}

fn parse_time(text: &str) -> Result<Duration, ChangeError> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    let seconds = seconds.filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| ChangeError::Value(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_changes() {
        let rate = Setting::Rate(Some(600_000));
        assert_eq!(
            "down rate=600k loss=5".parse(),
            Ok(Change::Impair(Way::Down, vec![rate, Setting::Loss(0.05)]))
        );
        let delay = Setting::Delay(Duration::from_millis(25));
        assert_eq!(
            "delay=25 rate=none".parse(),
            Ok(Change::Impair(Way::Both, vec![delay, Setting::Rate(None)]))
        );
        assert_eq!("pause 3s".parse(), Ok(Change::Pause(Way::Both, Duration::from_secs(3))));
        assert_eq!("up pause 250ms".parse(), Ok(Change::Pause(Way::Up, Duration::from_millis(250))));
        assert_eq!("rebind".parse(), Ok(Change::Rebind));
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = |line: &str| line.parse::<Change>().expect_err("no change");
        assert_eq!(refused("down"), ChangeError::Empty);
        assert_eq!(refused("colour=red"), ChangeError::Unknown("colour=red".into()));
        for wrong in ["loss=101", "loss=NaN", "rate=fast", "delay=-1", "queue=x"] {
            assert_eq!(refused(wrong), ChangeError::Value(wrong.into()));
        }
        for wrong in ["3", "", "-1s", "5h"] {
            assert_eq!(refused(&format!("pause {wrong}")), ChangeError::Value(wrong.into()));
        }
    }
}
