//! Reports as one HTML file each, with plots: nothing is loaded from elsewhere, light or dark as the reader's system is.

mod plot;

use std::fmt::Write as _;

use plot::{Chart, Line, short};

use crate::objectives::Objective;
use crate::ramp::{RampReport, Step};
use crate::report::{Media, Percentiles, Report, Sample};

/// The page of a run.
pub fn run_page(report: &Report) -> String {
    let scenario = &report.config.scenario;
    let verdict =
        (report.is_met(), if report.is_met() { "every objective is met" } else { "an objective is missed" });
    let groups: Vec<String> =
        scenario.groups.iter().map(|group| format!("{} {}", group.count, group.name)).collect();
    let mut facts = vec![
        ("rooms", scenario.rooms.to_string()),
        ("members in each", groups.join(", ")),
        ("measured", format!("{:.1} s", report.window_s)),
        ("server", report.config.url.clone()),
    ];
    if let Some(percent) = report.stolen_percent {
        facts.push(("taken by the host", format!("{percent:.1} % of all processors' time")));
    }
    if report.interrupted {
        facts.push(("ended", "before its time".to_owned()));
    }
    let media = || report.video.iter().chain(&report.audio);
    let mut tiles = vec![
        ("joined", format!("{} of {}", report.joins.joined, report.joins.wanted)),
        ("join p95", format!("{} ms", short(report.joins.join_ms.p95))),
    ];
    if media().next().is_some() {
        let loss = media().map(|media| media.loss_percent).fold(0.0, f64::max);
        let freezes: u64 = media().map(|media| media.freezes).sum();
        tiles.push(("loss", format!("{} %", short(loss))));
        tiles.push(("latency p50", format!("{} ms", short(report.latency_us.p50 / 1000.0))));
        tiles.push(("latency p99", format!("{} ms", short(report.latency_us.p99 / 1000.0))));
        tiles.push(("freezes", freezes.to_string()));
    }
    if let Some(server) = &report.server {
        tiles.push(("packets a second", short(server.packets_per_s)));
        tiles.push(("server a packet", format!("{} \u{b5}s", short(server.us_per_packet))));
        tiles.push(("server a join", format!("{} ms", short(server.join_cpu_ms))));
        tiles.push(("memory a member", format!("{} KiB", short(server.kib_per_member))));
    }
    tiles.push(("events amiss", report.events.amiss().to_string()));
    let mut page = Page::new(&scenario.name, &scenario.about, Some(verdict), &facts);
    page.tiles(&tiles);
    page.warnings(report.warnings.iter().chain(&report.joins.failures));
    page.objectives(&report.objectives, "at most");
    page.charts(&run_charts(&report.samples), "The shaded part is the measuring window.");
    page.table(&["", "count", "p50", "p95", "p99", "max"], &distributions(report));
    page.table(&["", "video", "audio"], &media_rows(report));
    page.finish(report.version)
}

/// The page of a search for the saturation point.
pub fn ramp_page(report: &RampReport) -> String {
    let verdict = report.objective.as_ref().map(|objective| {
        (objective.met, if objective.met { "enough members were held" } else { "too few members were held" })
    });
    let held = report.saturation.as_ref().map_or_else(
        || format!("at least {}", report.steps.last().map_or(0, |step| step.members)),
        |saturation| saturation.held.to_string(),
    );
    let best = report.steps.iter().map(|step| step.packets_per_s).fold(0.0, f64::max);
    let why = report.saturation.as_ref().map_or_else(
        || "no limit was passed".to_owned(),
        |saturation| format!("{} members: {}", saturation.passed, saturation.why),
    );
    let facts = [("grew", report.grew.clone()), ("ended by", why)];
    let name = format!("{}: saturation", report.scenario.name);
    let mut page = Page::new(&name, &report.scenario.about, verdict, &facts);
    let mut tiles = vec![("members held", held), ("most packets a second", short(best))];
    if let Some(step) = report.steps.iter().rev().find(|step| step.passed.is_empty()) {
        tiles.push(("latency p99 then", format!("{} ms", short(step.latency_us.p99 / 1000.0))));
        tiles.push(("join p95 then", format!("{} ms", short(step.join_ms.p95))));
        tiles.push(("server then", format!("{} %", short(step.server_percent))));
        tiles.push(("bench then", format!("{} %", short(step.bench_percent))));
    }
    page.tiles(&tiles);
    page.warnings(report.warnings.iter());
    page.objectives(report.objective.as_slice(), "at least");
    page.charts(&ramp_charts(report), "The shaded part is too much: a limit was passed there.");
    let cells = |step: &Step| {
        let latency = &step.latency_us;
        let numbers = [
            step.packets_per_s,
            step.loss_percent,
            latency.p50 / 1000.0,
            latency.p99 / 1000.0,
            step.join_ms.p95,
            step.server_percent,
            step.us_per_packet,
            step.bench_percent,
        ];
        let stolen = step.stolen_percent.map_or_else(String::new, short);
        std::iter::once(step.members.to_string()).chain(numbers.map(short)).chain([stolen]).collect()
    };
    let rows: Vec<Vec<String>> = report.steps.iter().map(cells).collect();
    let head = [
        "members",
        "packets/s",
        "loss %",
        "p50 ms",
        "p99 ms",
        "join p95 ms",
        "server %",
        "\u{b5}s a packet",
        "bench %",
        "stolen %",
    ];
    page.table(&head, &rows);
    page.finish(report.version)
}

fn run_charts(samples: &[Sample]) -> Vec<Chart> {
    let measured = || samples.iter().filter(|sample| sample.measured).map(|sample| sample.at_s);
    let band = measured().next().zip(measured().next_back());
    let chart = |title: &str, lines: Vec<Line>| Chart {
        title: title.to_owned(),
        across: "seconds".to_owned(),
        lines,
        band,
    };
    let of = |name: &str, value: fn(&Sample) -> f64| Line {
        name: name.to_owned(),
        points: samples.iter().map(|sample| (sample.at_s, value(sample))).collect(),
    };
    // What counts up is shown by what it grew by in a second.
    let rate = |name: &str, unit: f64, value: fn(&Sample) -> u64| Line {
        name: name.to_owned(),
        points: samples
            .windows(2)
            .filter_map(|pair| {
                let [before, after] = pair else { return None };
                let grown = value(after).saturating_sub(value(before)) as f64;
                Some((after.at_s, grown * unit / (after.at_s - before.at_s).max(1e-3)))
            })
            .collect(),
    };
    let processor = [
        rate("server", 1e-4, |sample| sample.server_cpu_us),
        rate("bench", 1e-4, |sample| sample.bench_cpu_us),
    ];
    vec![
        chart("Members", vec![of("members", |sample| sample.members as f64)]),
        chart("Packets a second", vec![rate("packets", 1.0, |sample| sample.received)]),
        chart(
            "Latency, ms",
            vec![
                of("p50", |sample| sample.latency_us.p50 / 1000.0),
                of("p99", |sample| sample.latency_us.p99 / 1000.0),
            ],
        ),
        chart("Processor, % of one", processor.to_vec()),
        chart("Server's memory, MiB", vec![of("resident", |sample| sample.server_rss_kib as f64 / 1024.0)]),
    ]
}

fn ramp_charts(report: &RampReport) -> Vec<Chart> {
    let band =
        report.saturation.as_ref().map(|saturation| (saturation.held as f64, saturation.passed as f64));
    let of = |name: &str, value: fn(&Step) -> f64| Line {
        name: name.to_owned(),
        points: report.steps.iter().map(|step| (step.members as f64, value(step))).collect(),
    };
    let chart = |title: &str, lines: Vec<Line>| Chart {
        title: title.to_owned(),
        across: "members".to_owned(),
        lines,
        band,
    };
    vec![
        chart("Throughput, packets a second", vec![of("packets", |step| step.packets_per_s)]),
        chart(
            "Latency, ms",
            vec![
                of("p50", |step| step.latency_us.p50 / 1000.0),
                of("p99", |step| step.latency_us.p99 / 1000.0),
            ],
        ),
        chart("Join time p95, ms", vec![of("join p95", |step| step.join_ms.p95)]),
        chart("Loss, %", vec![of("loss", |step| step.loss_percent)]),
        chart("Members that failed", vec![of("failed", |step| step.failed as f64)]),
        chart(
            "Processor, % of one",
            vec![of("server", |step| step.server_percent), of("bench", |step| step.bench_percent)],
        ),
        chart("Server's time a packet, \u{b5}s", vec![of("a packet", |step| step.us_per_packet)]),
    ]
}

fn distributions(report: &Report) -> Vec<Vec<String>> {
    let joins = &report.joins;
    let row = |(name, of, unit): (&str, &Percentiles, f64)| {
        let values = [of.p50, of.p95, of.p99, of.max].map(|value| short(value * unit));
        [name.to_owned(), of.count.to_string()].into_iter().chain(values).collect::<Vec<String>>()
    };
    [
        ("join, ms", &joins.join_ms, 1.0),
        ("offer to connected, ms", &joins.connect_ms, 1.0),
        ("view to media, ms", &joins.first_frame_ms, 1.0),
        ("to everything, ms", &joins.complete_ms, 1.0),
        ("latency, ms", &report.latency_us, 0.001),
        ("picture to sound, ms", &report.av_offset_ms, 1.0),
        ("action to event, ms", &report.events.event_ms, 1.0),
        ("action to reply, ms", &report.events.reply_ms, 1.0),
    ]
    .into_iter()
    .filter(|(_, of, _)| of.count > 0)
    .map(row)
    .collect()
}

fn media_rows(report: &Report) -> Vec<Vec<String>> {
    let row = |(name, of): (&str, Counted)| {
        let cell =
            |media: &Option<Media>| media.as_ref().map_or_else(String::new, |media| of(media).to_string());
        vec![name.to_owned(), cell(&report.video), cell(&report.audio)]
    };
    let rows: [(&str, Counted); 13] = [
        ("packets expected", |media| media.expected),
        ("packets received", |media| media.received),
        ("of these, recovered", |media| media.recovered),
        ("streams", |media| media.streams),
        ("streams whole", |media| media.streams_whole),
        ("frames whole", |media| media.frames),
        ("frames incomplete", |media| media.frames_incomplete),
        ("freezes", |media| media.freezes),
        ("corrupt", |media| media.corrupt),
        ("duplicates", |media| media.duplicates),
        ("reordered", |media| media.reordered),
        ("left out", |media| media.left_out),
        ("breaks in sequence, ids, time", |media| {
            media.sequence_breaks + media.picture_id_breaks + media.timestamp_breaks + media.marker_errors
        }),
    ];
    if report.video.is_none() && report.audio.is_none() {
        Vec::new()
    } else {
        rows.into_iter().map(row).collect()
    }
}

/// One of the counts of a kind of media.
type Counted = fn(&Media) -> u64;

struct Page(String);

impl Page {
    fn new(name: &str, about: &str, verdict: Option<(bool, &str)>, facts: &[(&str, String)]) -> Self {
        let (name, about) = (escape(name), escape(about));
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{name}</h1>\n<p>{about}</p>\n"
        );
        if let Some((met, words)) = verdict {
            let class = if met { "met" } else { "missed" };
            page += &format!("<p class=\"verdict {class}\">{words}</p>\n");
        }
        page += "<dl>";
        for (term, value) in facts {
            page += &format!("<div><dt>{term}</dt><dd>{}</dd></div>", escape(value));
        }
        Self(page + "</dl>\n</header>\n<main>\n")
    }

    fn tiles(&mut self, tiles: &[(&str, String)]) {
        self.0 += "<section class=\"tiles\">";
        for (name, value) in tiles {
            self.put(format_args!("<div><b>{}</b><span>{name}</span></div>", escape(value)));
        }
        self.0 += "</section>\n";
    }

    fn warnings<'a>(&mut self, warnings: impl Iterator<Item = &'a String>) {
        for warning in warnings {
            self.put(format_args!("<p class=\"warning\">{}</p>\n", escape(warning)));
        }
    }

    fn objectives(&mut self, objectives: &[Objective], most: &str) {
        let row = |objective: &Objective| {
            let verdict = if objective.met { "met" } else { "missed" };
            vec![
                objective.name.to_owned(),
                short(objective.value),
                format!("{most} {}", short(objective.limit)),
                verdict.to_owned(),
            ]
        };
        self.table(&["objective", "was", "shall be", ""], &objectives.iter().map(row).collect::<Vec<_>>());
    }

    fn charts(&mut self, charts: &[Chart], note: &str) {
        self.0 += "<section class=\"charts\">\n";
        for chart in charts.iter().filter(|chart| !chart.is_empty()) {
            self.0 += &chart.figure();
        }
        self.0 += "</section>\n";
        let shaded = charts.iter().any(|chart| chart.band.is_some());
        self.put(format_args!("<p class=\"note\">{}</p>\n", if shaded { note } else { "" }));
    }

    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        self.0 += "<div class=\"scroll\"><table><thead><tr>";
        for cell in head {
            self.put(format_args!("<th>{cell}</th>"));
        }
        self.0 += "</tr></thead><tbody>\n";
        for row in rows {
            self.0 += "<tr>";
            for cell in row {
                let class = match cell.as_str() {
                    "met" => " class=\"met\"",
                    "missed" => " class=\"missed\"",
                    _ => "",
                };
                self.put(format_args!("<td{class}>{}</td>", escape(cell)));
            }
            self.0 += "</tr>\n";
        }
        self.0 += "</tbody></table></div>\n";
    }

    fn finish(mut self, version: &str) -> String {
        self.put(format_args!("</main>\n<footer>simmer-bench {version}</footer>\n</body>\n</html>\n"));
        self.0
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        self.0.write_fmt(text).unwrap_or_default();
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests;
