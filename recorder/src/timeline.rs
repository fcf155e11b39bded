//! What the room log says about the recording: who was there, whose the tracks are, where the steps start.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::manifest::{Chapter, Participant};
use crate::recorder::TimelineEvent;

/// Reads the room log, entry by entry.
#[derive(Default)]
pub(crate) struct Timeline {
    pub(crate) participants: Vec<Participant>,
    /// By publication id.
    pub(crate) owners: BTreeMap<String, Owner>,
    pub(crate) chapters: Vec<Chapter>,
    titles: Vec<String>,
    /// Session time of the last entry.
    pub(crate) last_ms: u64,
}

/// What `published` says of a publication.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Owner {
    pub(crate) participant: String,
    pub(crate) source: Option<String>,
}

/// An entry as a line of `events.jsonl`, with the newline.
pub(crate) fn line(event: TimelineEvent, t_ms: u64) -> Vec<u8> {
    let mut entry = match event.body {
        Value::Object(body) => body,
        other => Map::from_iter([("body".to_owned(), other)]),
    };
    entry.insert("seq".to_owned(), json!(event.seq));
    entry.insert("t_ms".to_owned(), json!(t_ms));
    entry.insert("by".to_owned(), json!(event.by));
    let mut line = Value::Object(entry).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The whole lines of an event file, each parsed. What a crash tore, or anything else that is no JSON, is left out.
pub(crate) fn lines(file: &[u8]) -> impl Iterator<Item = (&[u8], Value)> {
    file.split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .filter_map(|line| Some((line, serde_json::from_slice::<Value>(line).ok().filter(Value::is_object)?)))
}

impl Timeline {
    /// Takes one line of the event file.
    pub(crate) fn handle(&mut self, entry: &Value) {
        let at = entry.get("t_ms").and_then(Value::as_u64).unwrap_or(0);
        self.last_ms = self.last_ms.max(at);
        match entry.get("kind").and_then(Value::as_str) {
            Some("joined") => self.joined(entry.get("participant")),
            Some("published") => self.published(entry.get("publication")),
            Some("steps_set") => self.steps(entry.get("steps")),
            Some("step_started") => self.step(entry.get("step"), at),
            Some("snapshot") => self.snapshot(entry, at),
            _ => {}
        }
    }

    /// The room as it is when the recording starts, in the form that joining participants get.
    fn snapshot(&mut self, entry: &Value, at: u64) {
        let list = |name| entry.get(name).and_then(Value::as_array).into_iter().flatten();
        list("participants").for_each(|participant| self.joined(Some(participant)));
        list("publications").for_each(|publication| self.published(Some(publication)));
        let steps = entry.get("steps");
        self.steps(steps.and_then(|steps| steps.get("steps")));
        self.step(steps.and_then(|steps| steps.get("current")), at);
    }

    fn joined(&mut self, participant: Option<&Value>) {
        let Some(participant) = participant else { return };
        let text = |name| participant.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let joined = Participant { id: text("id"), name: text("name"), role: text("role") };
        match self.participants.iter_mut().find(|known| known.id == joined.id) {
            Some(known) => *known = joined,
            None => self.participants.push(joined),
        }
    }

    fn published(&mut self, publication: Option<&Value>) {
        let text = |name| publication.and_then(|publication| publication.get(name)).and_then(Value::as_str);
        if let (Some(id), Some(participant)) = (text("id"), text("participant")) {
            let owner =
                Owner { participant: participant.to_owned(), source: text("source").map(str::to_owned) };
            self.owners.insert(id.to_owned(), owner);
        }
    }

    fn steps(&mut self, steps: Option<&Value>) {
        let Some(steps) = steps.and_then(Value::as_array) else { return };
        let title = |step: &Value| step.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.titles = steps.iter().map(title).collect();
    }

    fn step(&mut self, step: Option<&Value>, start_ms: u64) {
        let Some(step) = step.and_then(Value::as_u64) else { return };
        let title = usize::try_from(step).ok().and_then(|step| self.titles.get(step));
        let title = title.cloned().unwrap_or_else(|| format!("Step {}", step.saturating_add(1)));
        self.chapters.push(Chapter { title, start_ms, step });
    }
}

/// `chapters.vtt`: each step lasts until the next one starts.
pub(crate) fn chapters(chapters: &[Chapter], duration_ms: u64) -> String {
    let mut out = String::from("WEBVTT\n");
    let ends = chapters.iter().skip(1).map(|next| next.start_ms).chain([duration_ms]);
    for (chapter, end) in chapters.iter().zip(ends).filter(|(chapter, end)| chapter.start_ms < *end) {
        let title: String = chapter.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(out, "\n{} --> {}\n{title}\n", clock(chapter.start_ms), clock(end));
    }
    out
}

fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_people_tracks_and_steps() {
        let mut timeline = Timeline::default();
        for entry in [
            json!({"kind":"joined","t_ms":0,"participant":{"id":"p1","name":"Ana","role":"host"}}),
            json!({"kind":"published","t_ms":5,"publication":{"id":"a-0","participant":"p1","kind":"video","source":"camera"}}),
            json!({"kind":"steps_set","t_ms":6,"steps":[{"title":"Chop"},{"title":"Fry & <stir>\n--> now"}]}),
            json!({"kind":"step_started","t_ms":1000,"step":0}),
            json!({"kind":"step_started","t_ms":61_500,"step":1}),
            json!({"kind":"step_started","t_ms":70_000,"step":7}),
            json!({"kind":"something new","t_ms":71_000}),
        ] {
            timeline.handle(&entry);
        }
        assert_eq!(
            timeline.participants,
            [Participant { id: "p1".into(), name: "Ana".into(), role: "host".into() }]
        );
        assert_eq!(timeline.owners["a-0"], Owner { participant: "p1".into(), source: Some("camera".into()) });
        assert_eq!(timeline.last_ms, 71_000);
        let vtt = chapters(&timeline.chapters, 3_700_000);
        let expected = "WEBVTT\n\n00:00:01.000 --> 00:01:01.500\nChop\n\n\
            00:01:01.500 --> 00:01:10.000\nFry &amp; &lt;stir&gt; --&gt; now\n\n\
            00:01:10.000 --> 01:01:40.000\nStep 8\n";
        assert_eq!(vtt, expected);
    }

    #[test]
    fn a_recording_that_starts_late_takes_the_room_from_a_snapshot() {
        let mut timeline = Timeline::default();
        timeline.handle(&json!({"kind":"snapshot","t_ms":3,
            "participants":[{"id":"p1","name":"Ana","role":"host","present":true}],
            "publications":[{"id":"a-0","participant":"p1","kind":"video","source":"camera"}],
            "steps":{"steps":[{"title":"Chop"}],"current":0,"done":{}}}));
        assert_eq!(timeline.participants.len(), 1);
        assert_eq!(timeline.owners.len(), 1);
        assert_eq!(timeline.chapters, [Chapter { title: "Chop".into(), start_ms: 3, step: 0 }]);
    }

    #[test]
    fn torn_and_foreign_lines_are_left_out() {
        let file = b"{\"a\":1}\nnot json\n3\n{\"b\":2}\n{\"c\":";
        let found: Vec<&[u8]> = lines(file).map(|(line, _)| line).collect();
        assert_eq!(found, [b"{\"a\":1}\n", b"{\"b\":2}\n"]);
    }
}
