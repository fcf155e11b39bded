use proptest::prelude::*;

use super::*;

/// One sender report.
struct Report {
    rtp: i64,
    wall_us: i64,
    arrival_us: i64,
}

/// A small generator, so that a failing run can be run again.
fn noise(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1u64 << 53) as f64
}

/// Reports every 5 s over `seconds`: the RTP clock is `rtp_ppm` fast, the wall clock `wall_ppm`, a way takes 20 ms and
/// up to `jitter_ms` more. Returns the track's points, the publisher's points, and the origin of the RTP clock.
fn simulate(seconds: i64, rtp_ppm: f64, wall_ppm: f64, jitter_ms: f64, seed: u64) -> (Vec<Report>, i64) {
    let mut seed = seed | 1;
    let origin = 7_000_000_000i64;
    let reports = (0..seconds / 5)
        .map(|at| {
            let sent = (at * 5) as f64 + noise(&mut seed);
            let late = 0.020 + jitter_ms / 1000.0 * noise(&mut seed).powi(2);
            Report {
                rtp: origin + (sent * 90_000.0 * (1.0 + rtp_ppm * 1e-6)) as i64,
                wall_us: 3_900_000_000_000_000 + (sent * 1e6 * (1.0 + wall_ppm * 1e-6)) as i64,
                arrival_us: ((sent + late) * 1e6) as i64,
            }
        })
        .collect();
    (reports, origin)
}

fn fit(reports: &[Report]) -> Map {
    let wall: Vec<_> = reports.iter().map(|report| (report.wall_us, report.arrival_us)).collect();
    let points =
        reports.iter().zip(sent(&wall)).map(|(report, sent)| (ticks_to_micros(report.rtp, 90_000), sent));
    Map::by_least_squares(&points.collect::<Vec<_>>()).unwrap()
}

fn interpolate(knots: &[[f64; 2]], media_ms: f64) -> f64 {
    let after = knots.iter().position(|knot| knot[0] >= media_ms).unwrap_or(knots.len() - 1).max(1);
    let ([x0, y0], [x1, y1]) = (knots[after - 1], knots[after]);
    y0 + (media_ms - x0) * (y1 - y0) / (x1 - x0)
}

/// The largest distance from the truth, which is 20 ms after sending.
fn worst_error_ms(seconds: i64, rtp_ppm: f64, knots: &[[f64; 2]]) -> f64 {
    (0..seconds)
        .map(|second| {
            let media_ms = second as f64 * 1000.0 * (1.0 + rtp_ppm * 1e-6);
            (interpolate(knots, media_ms) - (second as f64 * 1000.0 + 20.0)).abs()
        })
        .fold(0.0, f64::max)
}

#[test]
fn an_hour_of_drift_is_mapped_to_less_than_five_milliseconds() {
    for seed in 1..20 {
        let (reports, origin) = simulate(3600, 300.0, 40.0, 200.0, seed);
        let map = fit(&reports);
        let clock = TrackClock { map: &map, rate: 90_000, origin };
        let knots = clock.knots(3600 * 90_027);
        let error = worst_error_ms(3600, 300.0, &knots);
        assert!(error < 5.0, "seed {seed}: {error} ms, {knots:?}");
    }
}

#[test]
fn half_a_minute_is_mapped_without_taking_jitter_for_drift() {
    for seed in 1..20 {
        let (reports, origin) = simulate(30, 300.0, 0.0, 30.0, seed);
        let map = fit(&reports);
        let clock = TrackClock { map: &map, rate: 90_000, origin };
        let error = worst_error_ms(30, 300.0, &clock.knots(30 * 90_027));
        assert!(error < 30.0, "seed {seed}: {error} ms");
    }
}

#[test]
fn a_wall_clock_that_is_set_changes_nothing() {
    for step in [3_600_000_000i64, -86_400_000_000, 1_500_000] {
        let (mut reports, origin) = simulate(600, 100.0, 0.0, 50.0, 5);
        reports.iter_mut().skip(60).for_each(|report| report.wall_us += step);
        let map = fit(&reports);
        let clock = TrackClock { map: &map, rate: 90_000, origin };
        let knots = clock.knots(600 * 90_009);
        assert!(knots.windows(2).all(|pair| pair[0][0] < pair[1][0] && pair[0][1] < pair[1][1]), "{knots:?}");
        let errors = (0..600).map(|second| {
            let media_ms = second as f64 * 1000.1;
            (interpolate(&knots, media_ms) - (second as f64 * 1000.0 + 20.0)).abs()
        });
        let error = errors.fold(0.0, f64::max);
        assert!(error < 10.0, "{step}: {error} ms, {knots:?}");
    }
}

#[test]
fn one_late_report_is_no_step() {
    let (mut reports, origin) = simulate(600, 0.0, 0.0, 10.0, 9);
    reports[50].arrival_us += 4_000_000;
    let map = fit(&reports);
    let clock = TrackClock { map: &map, rate: 90_000, origin };
    let error = worst_error_ms(600, 0.0, &clock.knots(600 * 90_000));
    assert!(error < 5.0, "{error} ms");
}

#[test]
fn an_ntp_time_counts_in_microseconds() {
    assert_eq!(ntp_micros((2 << 32) | (1 << 31)), 2_500_000);
    assert_eq!(ntp_micros(u64::MAX), 4_294_967_295_999_999);
}

proptest! {
    #[test]
    fn no_report_breaks_the_knots(
        points in prop::collection::vec((any::<i64>(), any::<i64>()), 1..40),
        origin in any::<i64>(),
        end in prop_oneof![0..1_000_000i64, 0..(1i64 << 33)],
    ) {
        prop_assert_eq!(sent(&points).len(), points.len());
        for map in [Map::by_least_squares(&points).unwrap(), Map::by_least_delay(&points).unwrap()] {
            let knots = TrackClock { map: &map, rate: 90_000, origin }.knots(end);
            prop_assert!(knots.len() >= 2);
            prop_assert!(knots.iter().flatten().all(|value| value.is_finite()));
        }
    }
}
