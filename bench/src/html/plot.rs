//! Line charts as SVG, without scripts: colours come from the page, values from the points' titles.

use std::fmt::Write as _;

use super::escape;

/// A chart with one vertical axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    /// What it shows, with its unit.
    pub(super) title: String,
    /// What stands below.
    pub(super) across: String,
    /// At most four lines.
    pub(super) lines: Vec<Line>,
    /// A part that matters: the measuring window, or what is too much.
    pub(super) band: Option<(f64, f64)>,
}

/// One line of a chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// What it is.
    pub(super) name: String,
    /// Its points, from left to right.
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart {
    /// Whether there is anything to see.
    pub(super) fn is_empty(&self) -> bool {
        self.points().all(|(_, value)| value == 0.0)
    }

    /// The chart with its title and legend, as HTML.
    pub(super) fn figure(&self) -> String {
        let mut out = format!("<figure><figcaption>{}</figcaption>\n", escape(&self.title));
        if self.lines.len() > 1 {
            out += "<p class=\"legend\">";
            for (index, line) in self.lines.iter().enumerate() {
                let _infallible = write!(out, "<span class=\"k{index}\">{}</span>", escape(&line.name));
            }
            out += "</p>\n";
        }
        out + &self.svg() + "</figure>\n"
    }

    fn svg(&self) -> String {
        let (left, right) = self
            .points()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (at, _)| (low.min(at), high.max(at)));
        let (left, right) = if right > left { (left, right) } else { (left.min(0.0), left.max(0.0) + 1.0) };
        let highest = self.points().map(|(_, value)| value).fold(0.0, f64::max);
        let rows = ticks(0.0, highest);
        let top = rows.last().copied().unwrap_or(1.0).max(highest);
        let x = |at: f64| MARGIN_LEFT + (at - left) / (right - left) * (WIDTH - MARGIN_LEFT - MARGIN_RIGHT);
        let y = |value: f64| HEIGHT - MARGIN_BOTTOM - value / top * (HEIGHT - MARGIN_TOP - MARGIN_BOTTOM);
        let title = escape(&self.title);
        let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).unwrap_or_default();
        if let Some((from, to)) = self.band {
            let (from, to) = (x(from.clamp(left, right)), x(to.clamp(left, right)));
            let tall = HEIGHT - MARGIN_TOP - MARGIN_BOTTOM;
            put(format_args!(
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{MARGIN_TOP}\" width=\"{:.1}\" height=\"{tall}\"/>\n",
                to - from
            ));
        }
        for row in &rows {
            let at = y(*row);
            put(format_args!("<path class=\"grid\" d=\"M{MARGIN_LEFT} {at:.1}H{}\"/>", WIDTH - MARGIN_RIGHT));
            put(format_args!(
                "<text class=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>\n",
                MARGIN_LEFT - 6.0,
                at + 4.0,
                short(*row)
            ));
        }
        for column in ticks(left, right).into_iter().filter(|column| (left..=right).contains(column)) {
            put(format_args!(
                "<text class=\"mid\" x=\"{:.1}\" y=\"{}\">{}</text>\n",
                x(column),
                HEIGHT - MARGIN_BOTTOM + 16.0,
                short(column)
            ));
        }
        put(format_args!(
            "<text class=\"mid\" x=\"{}\" y=\"{}\">{}</text>\n",
            (MARGIN_LEFT + WIDTH - MARGIN_RIGHT) / 2.0,
            HEIGHT - 3.0,
            escape(&self.across)
        ));
        for (index, line) in self.lines.iter().enumerate() {
            let path: Vec<String> =
                line.points.iter().map(|(at, value)| format!("{:.1} {:.1}", x(*at), y(*value))).collect();
            put(format_args!("<path class=\"line c{index}\" d=\"M{}\"/>\n", path.join("L")));
            for (at, value) in &line.points {
                put(format_args!(
                    "<circle class=\"c{index}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\"><title>{}: {} at {}</title></circle>\n",
                    x(*at),
                    y(*value),
                    if line.points.len() > MANY { 1.0 } else { 2.5 },
                    escape(&line.name),
                    short(*value),
                    short(*at)
                ));
            }
        }
        out + "</svg>\n"
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }
}

/// Round numbers from the last below `low` to the first above `high`, three to seven of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let span = if high > low { high - low } else { 1.0 };
    let raw = span / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|round| round * power).into_iter().find(|step| *step >= raw);
    let step = step.unwrap_or(raw);
    let (first, last) = ((low / step).floor() as i64, (low.max(low + span) / step).ceil() as i64);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// The number as people read it: 12.5k, 3M.
pub(super) fn short(value: f64) -> String {
    let trimmed = |value: f64, places: usize| {
        let text = format!("{value:.places$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match value.abs() {
        size if size >= 1e6 => trimmed(value / 1e6, 2) + "M",
        size if size >= 1e4 => trimmed(value / 1e3, 1) + "k",
        size if size >= 100.0 => trimmed(value, 0),
        size if size >= 1.0 => trimmed(value, 2),
        _ => trimmed(value, 3),
    }
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;
const MARGIN_LEFT: f64 = 46.0;
const MARGIN_RIGHT: f64 = 12.0;
const MARGIN_TOP: f64 = 8.0;
const MARGIN_BOTTOM: f64 = 38.0;
/// Points of a line above which they are drawn small.
const MANY: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        assert_eq!(ticks(0.0, 87.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.0, 8.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(0.0, 0.0).first(), Some(&0.0));
        for high in [0.003, 0.7, 13.0, 999.0, 123_456.0] {
            let ticks = ticks(0.0, high);
            assert!(ticks.last().is_some_and(|last| *last >= high), "{high}: {ticks:?}");
            assert!((3..=7).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let read = [0.0, 0.125, 2.5, 40.0, 512.0, 12_500.0, 3_000_000.0].map(short);
        assert_eq!(read, ["0", "0.125", "2.5", "40", "512", "12.5k", "3M"]);
    }

    #[test]
    fn points_are_drawn_where_they_belong() {
        let line = Line { name: "p50 <ms>".into(), points: vec![(0.0, 0.0), (10.0, 8.0)] };
        let chart =
            Chart { title: "age".into(), lines: vec![line], band: Some((0.0, 5.0)), ..Chart::default() };
        let svg = chart.figure();
        // From the lower left corner of the plane to its upper right one.
        assert!(svg.contains("d=\"M46.0 182.0L408.0 8.0\""), "{svg}");
        assert!(svg.contains("width=\"181.0\""), "the band is the left half: {svg}");
        assert!(svg.contains("p50 &lt;ms&gt;: 8 at 10") && !svg.contains("<ms>"), "{svg}");
        assert!(!chart.is_empty() && Chart::default().is_empty());
    }
}
