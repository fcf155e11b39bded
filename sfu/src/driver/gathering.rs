//! One report of all workers.

use std::sync::{Arc, Mutex, PoisonError};

use crate::message::Command;
use crate::report::ParticipantReport;

type Tell = Box<dyn FnOnce(Vec<ParticipantReport>) + Send>;

/// What some workers have reported, until the last one has.
struct Gathering {
    reports: Vec<ParticipantReport>,
    missing: usize,
    tell: Option<Tell>,
}

/// A report's command for each of so many workers. `tell` is called once, by the one that is last; never, if one of the commands is dropped.
pub(super) fn gather(workers: usize, tell: Tell) -> impl Iterator<Item = Command> {
    let gathering = Gathering { reports: Vec::new(), missing: workers, tell: Some(tell) };
    let gathering = Arc::new(Mutex::new(gathering));
    (0..workers).map(move |_| {
        let gathering = Arc::clone(&gathering);
        Command::Report { tell: Box::new(move |reports| add(&gathering, reports)) }
    })
}

fn add(gathering: &Mutex<Gathering>, mut reports: Vec<ParticipantReport>) {
    let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
    gathering.reports.append(&mut reports);
    gathering.missing = gathering.missing.saturating_sub(1);
    if gathering.missing == 0
        && let Some(tell) = gathering.tell.take()
    {
        let mut reports = std::mem::take(&mut gathering.reports);
        drop(gathering);
        // Who was last is chance.
        reports.sort_by_key(|report| (report.room, report.participant));
        tell(reports);
    }
}
