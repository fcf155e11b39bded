//! Maps media time to session time.
//!
//! Two steps. A publisher's wall clock, as its sender reports tell it, is mapped to session time by the reports'
//! arrivals: nothing arrives before it is sent, so the line runs along the lower edge of the points (the edge of their
//! lower convex hull below the mean time). It serves all tracks of that publisher, so they stay together. A track's
//! RTP clock is then mapped, by least squares over its own reports, to the session times that they were sent at. Both
//! are cut into pieces where a clock was set.

/// Microseconds of a 64-bit NTP time.
pub(crate) fn ntp_micros(ntp: u64) -> i64 {
    let seconds = (ntp >> 32) * 1_000_000;
    let fraction = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
    i64::try_from(seconds + fraction).unwrap_or(i64::MAX)
}

/// A piecewise linear map between two clocks, both in microseconds.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Map {
    pieces: Vec<Piece>,
}

/// `y = x + offset + (x - x0) * skew`, from `x0` on.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Piece {
    x0: f64,
    offset: f64,
    skew: f64,
}

impl Piece {
    fn at(&self, x: f64) -> f64 {
        x + self.offset + (x - self.x0) * self.skew
    }
}

impl Map {
    /// From a sender's clock (x) to the arrival clock (y), by what took least long on its way. `None` of no points.
    pub(crate) fn by_least_delay(points: &[(i64, i64)]) -> Option<Self> {
        Self::fit(points, STEP_OF_ARRIVALS, lower_edge)
    }

    /// From one exact clock (x) to another (y). `None` of no points.
    pub(crate) fn by_least_squares(points: &[(i64, i64)]) -> Option<Self> {
        Self::fit(points, STEP_OF_REPORTS, least_squares)
    }

    fn fit(points: &[(i64, i64)], step: f64, line: Line) -> Option<Self> {
        let points = offsets(points);
        let pieces: Vec<Piece> =
            runs(&points, step).into_iter().flat_map(|run| Self::of_run(run, line).pieces).collect();
        (!pieces.is_empty()).then_some(Self { pieces })
    }

    fn of_run(run: &[Point], line: Line) -> Self {
        let mut run = run.to_vec();
        run.sort_by(|a, b| a.x.total_cmp(&b.x));
        let mut pieces = Vec::new();
        refine(&run, line, &mut pieces, 0);
        Self { pieces }
    }

    /// The other clock's time at `x`.
    pub(crate) fn at(&self, x: f64) -> f64 {
        self.piece(x).at(x)
    }

    fn piece(&self, x: f64) -> Piece {
        let at = self.pieces.partition_point(|piece| piece.x0 <= x);
        self.pieces.get(at.saturating_sub(1)).copied().unwrap_or(Piece { x0: 0.0, offset: 0.0, skew: 0.0 })
    }

    fn breaks(&self) -> impl Iterator<Item = f64> {
        self.pieces.iter().skip(1).map(|piece| piece.x0)
    }
}

/// When reports were sent, on the arrival clock: those of one publisher as `(wall clock, arrival)`, in order of arrival.
/// The wall clock may be set at any time.
pub(crate) fn sent(reports: &[(i64, i64)]) -> Vec<i64> {
    let points = offsets(reports);
    let runs = runs(&points, STEP_OF_ARRIVALS).into_iter();
    runs.flat_map(|run| {
        let map = Map::of_run(run, lower_edge);
        run.iter().map(|point| map.at(point.x) as i64).collect::<Vec<_>>()
    })
    .collect()
}

type Line = fn(&[Point]) -> Piece;

fn offsets(points: &[(i64, i64)]) -> Vec<Point> {
    points.iter().map(|&(x, y)| Point { x: x as f64, y: y.saturating_sub(x) as f64 }).collect()
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Point {
    x: f64,
    /// What the other clock is ahead.
    y: f64,
}

/// Cuts where the offset between the clocks changes at once and stays changed.
fn runs(points: &[Point], step: f64) -> Vec<&[Point]> {
    let mut runs = Vec::new();
    let mut rest = points;
    let mut at: usize = 1;
    while let (Some(before), Some(here)) = (rest.get(at.wrapping_sub(1)), rest.get(at)) {
        let jumps = (here.y - before.y).abs() > step;
        let stays = rest
            .get(at + 1)
            .map_or(here.y < before.y, |next| (next.y - here.y).abs() < (next.y - before.y).abs());
        // What goes back is no step: the former point was late.
        let returns = at >= 2 && rest.get(at - 2).is_some_and(|earlier| (here.y - earlier.y).abs() <= step);
        if jumps && stays && !returns {
            let (run, after) = rest.split_at(at);
            runs.push(run);
            rest = after;
            at = 1;
        } else {
            at += 1;
        }
    }
    if !rest.is_empty() {
        runs.push(rest);
    }
    runs
}

/// Halves a run until its line holds.
fn refine(run: &[Point], line: Line, pieces: &mut Vec<Piece>, depth: u32) {
    let Some(first) = run.first() else { return };
    let piece = line(run);
    let below = |point: &Point| (piece.at(point.x) - (point.x + point.y)).max(0.0);
    let worst = run.iter().map(below).fold(0.0, f64::max);
    if worst > TOLERANCE && run.len() >= 16 && depth < 6 {
        let (left, right) = run.split_at(run.len() / 2);
        refine(left, line, pieces, depth + 1);
        refine(right, line, pieces, depth + 1);
    } else {
        // The line stays, told from where it holds.
        pieces.push(Piece { x0: first.x, offset: piece.at(first.x) - first.x, skew: piece.skew });
    }
}

fn lower_edge(points: &[Point]) -> Piece {
    let mut hull: Vec<Point> = Vec::new();
    for &point in points {
        while let [.., a, b] = hull[..] {
            let turns_up = (b.x - a.x) * (point.y - a.y) - (b.y - a.y) * (point.x - a.x) > 0.0;
            if turns_up {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    let mean = points.iter().map(|point| point.x).sum::<f64>() / points.len().max(1) as f64;
    let lowest =
        points.iter().copied().min_by(|a, b| a.y.total_cmp(&b.y)).unwrap_or(Point { x: 0.0, y: 0.0 });
    let flat = Piece { x0: lowest.x, offset: lowest.y, skew: 0.0 };
    let span = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.x - first.x);
    if span < MIN_SPAN_OF_ARRIVALS {
        return flat;
    }
    let edge = hull.windows(2).find_map(|edge| match *edge {
        [a, b] if a.x <= mean && mean <= b.x && b.x > a.x => {
            Some(Piece { x0: a.x, offset: a.y, skew: (b.y - a.y) / (b.x - a.x) })
        }
        _ => None,
    });
    edge.filter(|edge| edge.skew.abs() <= MAX_SKEW).unwrap_or(flat)
}

fn least_squares(points: &[Point]) -> Piece {
    let count = points.len().max(1) as f64;
    let x0 = points.iter().map(|point| point.x).sum::<f64>() / count;
    let offset = points.iter().map(|point| point.y).sum::<f64>() / count;
    let (mut xx, mut xy) = (0.0, 0.0);
    for point in points {
        xx += (point.x - x0).powi(2);
        xy += (point.x - x0) * (point.y - offset);
    }
    let span = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.x - first.x);
    let skew = if span >= MIN_SPAN_OF_REPORTS { xy / xx } else { 0.0 };
    Piece { x0, offset, skew: if skew.abs() <= MAX_SKEW { skew } else { 0.0 } }
}

/// One file's media time to session time.
pub(crate) struct TrackClock<'a> {
    /// RTP time to session time.
    pub(crate) map: &'a Map,
    /// Ticks per second.
    pub(crate) rate: u32,
    /// Unwrapped RTP time of media time zero.
    pub(crate) origin: i64,
}

impl TrackClock<'_> {
    /// Session time in milliseconds of a media time in ticks, not before 0.
    pub(crate) fn session_ms(&self, media: i64) -> f64 {
        let micros = ticks_to_micros(self.origin.saturating_add(media), self.rate);
        (self.map.at(micros as f64) / 1000.0).max(0.0)
    }

    /// The points `[media_ms, session_ms]` between 0 and `end` that the player interpolates between. At least two,
    /// rising.
    pub(crate) fn knots(&self, end: i64) -> Vec<[f64; 2]> {
        let end = end.max(1);
        let rate = i64::from(self.rate);
        let mut times = vec![0, end];
        let origin = ticks_to_micros(self.origin, self.rate) as f64;
        for micros in self.map.breaks() {
            let media = ((micros - origin) * f64::from(self.rate) / 1e6) as i64;
            times.extend(
                [media.saturating_sub(rate / 1000), media].into_iter().filter(|time| (1..end).contains(time)),
            );
        }
        times.sort_unstable();
        times.dedup();
        let mut knots: Vec<[f64; 2]> = Vec::new();
        for media in times {
            let media_ms = media as f64 * 1000.0 / f64::from(self.rate);
            let floor = knots.last().map_or(0.0, |last| last[1] + 0.001);
            let knot = [thousandths(media_ms), thousandths(self.session_ms(media).max(floor))];
            knots.push(knot);
        }
        knots
    }
}

/// Microseconds of RTP time.
pub(crate) fn ticks_to_micros(ticks: i64, rate: u32) -> i64 {
    let micros = i128::from(ticks) * 1_000_000 / i128::from(rate.max(1));
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A second: less is a late packet.
const STEP_OF_ARRIVALS: f64 = 1e6;
const STEP_OF_REPORTS: f64 = 250e3;
/// Over less time, jitter would be taken for skew.
const MIN_SPAN_OF_ARRIVALS: f64 = 60e6;
const MIN_SPAN_OF_REPORTS: f64 = 2e6;
/// Clocks that differ by more than a tenth of a percent are broken.
const MAX_SKEW: f64 = 1e-3;
const TOLERANCE: f64 = 10e3;

#[cfg(test)]
mod tests;
