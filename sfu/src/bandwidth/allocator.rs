//! Who gets how much of a line: an estimate split among the pictures that are wished for.
//!
//! A pure function of what is known now, so that every decision can be repeated in a test. `docs/allocation.md` tells why it decides as it does.

use crate::bandwidth::Bitrate;

/// A quality that a picture can be sent at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rung {
    /// Of the picture, in pixels; 0 where it is not known yet.
    pub height: u16,
    /// What it costs.
    pub bitrate: Bitrate,
    /// The most that it cost of late, no less than it does.
    pub highest: Bitrate,
}

/// One picture's claim on the line.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// A higher one is served first.
    pub priority: u8,
    /// The height it is shown at: nothing beyond the first rung at least as high is given.
    pub max_height: u16,
    /// What can be had, from the least to the best. Where it is empty nothing is given.
    pub ladder: &'a [Rung],
    /// The rung given last: what is kept costs less than what is new.
    pub current: Option<usize>,
    /// No larger picture than so high is given, unless `current` is: `u16::MAX` where nothing holds it back. More pictures a second may be at any time.
    pub rises_to: u16,
    /// Whether a pause may end with the least there is although `rises_to` is 0, since nothing is worse.
    pub may_resume: bool,
}

impl Claim<'_> {
    /// The best rung of use.
    pub fn ceiling(&self) -> Option<usize> {
        let enough = self.ladder.iter().map(|rung| rung.height).filter(|&height| height >= self.max_height);
        match enough.min() {
            Some(height) => self.ladder.iter().rposition(|rung| rung.height == height),
            None => self.ladder.len().checked_sub(1),
        }
    }

    /// The best rung that may be given now.
    fn limit(&self) -> Option<usize> {
        let ceiling = self.ceiling()?;
        if self.current.is_none() && self.rises_to == 0 {
            return self.may_resume.then_some(0);
        }
        let shown = self.current.map_or(0, |current| self.height(current));
        let held = self.ladder.iter().rposition(|rung| rung.height <= self.rises_to.max(shown));
        Some(ceiling.min(held.unwrap_or(0)))
    }

    /// What a rung costs; `None` if there is no such.
    pub fn bitrate(&self, rung: usize) -> Option<Bitrate> {
        self.ladder.get(rung).map(|rung| rung.bitrate)
    }

    /// How high a rung's picture is; 0 if there is no such.
    pub fn height(&self, rung: usize) -> u16 {
        self.ladder.get(rung).map_or(0, |rung| rung.height)
    }

    fn cost(&self, rung: usize) -> Bitrate {
        let bitrate = self.bitrate(rung).unwrap_or(Bitrate::ZERO);
        if self.keeps(rung) { bitrate } else { self.at_most(rung).max(bitrate * HEADROOM) }
    }

    /// What the line is to carry for a rung: for a new one the most that it took of late.
    pub fn at_most(&self, rung: usize) -> Bitrate {
        let reckoned = |reckoned: &Rung| if self.keeps(rung) { reckoned.bitrate } else { reckoned.highest };
        self.ladder.get(rung).map_or(Bitrate::ZERO, reckoned)
    }

    fn keeps(&self, rung: usize) -> bool {
        self.current.is_some_and(|current| rung <= current)
    }

    /// How much of the wished height a rung shows, so that the most deprived picture is raised first.
    fn share_of_height(&self, rung: usize) -> f64 {
        f64::from(self.height(rung)) / f64::from(self.max_height.max(1))
    }
}

/// Splits `budget`: for each claim the rung it gets, `None` for a pause.
///
/// First every claim gets its lowest rung, the higher priority and then the earlier one first. What is left raises them step by step, all
/// claims of a priority before those of the next lower one, and of equals the one that shows the smallest part of its wished height.
pub fn share(budget: Bitrate, claims: &[Claim<'_>]) -> Vec<Option<usize>> {
    let mut given: Vec<Option<usize>> = vec![None; claims.len()];
    let mut left = budget;
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(claims[at].priority), at));
    for &at in &order {
        let claim = &claims[at];
        if claim.limit().is_some() && claim.cost(0) <= left {
            left = left - claim.cost(0);
            given[at] = Some(0);
        }
    }
    for class in order.chunk_by(|&a, &b| claims[a].priority == claims[b].priority) {
        while let Some((at, rung, price)) = class
            .iter()
            .filter_map(|&at| next_step(&claims[at], given[at]?, left).map(|(rung, price)| (at, rung, price)))
            .min_by(|a, b| {
                let part = |&(at, ..): &(usize, usize, Bitrate)| {
                    given[at].map_or(0.0, |rung| claims[at].share_of_height(rung))
                };
                part(a).total_cmp(&part(b)).then(a.0.cmp(&b.0))
            })
        {
            given[at] = Some(rung);
            left = left - price;
        }
    }
    given
}

/// The next better rung that what is left pays for, and what it costs more. A rung that costs less than the one below is taken for nothing.
fn next_step(claim: &Claim<'_>, rung: usize, left: Bitrate) -> Option<(usize, Bitrate)> {
    let limit = claim.limit()?;
    (rung + 1..=limit).find_map(|better| {
        let price = claim.cost(better) - claim.cost(rung);
        (price <= left).then_some((better, price))
    })
}

/// What is new must fit with so much to spare: an estimate moves by some per cent all the time, and behind a larger picture's key frame the line is to become
/// free again.
const HEADROOM: f64 = 1.2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LADDER: [Rung; 3] = [rung(180, 150), rung(360, 500), rung(720, 1500)];

    const fn rung(height: u16, kbps: u64) -> Rung {
        Rung { height, bitrate: Bitrate::kbps(kbps), highest: Bitrate::kbps(kbps) }
    }

    fn claim(priority: u8, max_height: u16) -> Claim<'static> {
        Claim { priority, max_height, ladder: &LADDER, current: None, rises_to: u16::MAX, may_resume: true }
    }

    fn shared(kbps: u64, claims: &[Claim<'_>]) -> Vec<Option<usize>> {
        share(Bitrate::kbps(kbps), claims)
    }

    #[test]
    fn a_wide_line_shows_everything_as_wished_and_nothing_beyond() {
        let claims = [claim(0, 720), claim(0, 200), claim(0, 90), claim(0, 2000)];
        assert_eq!(share(Bitrate::MAX, &claims), [Some(2), Some(1), Some(0), Some(2)]);
    }

    #[test]
    fn everybody_is_seen_before_anybody_is_sharp() {
        assert_eq!(shared(600, &[claim(0, 720), claim(0, 720), claim(0, 720)]), [Some(0); 3]);
        assert_eq!(
            shared(400, &[claim(0, 720), claim(0, 720), claim(0, 720)]),
            [Some(0), Some(0), None],
            "the last wished pauses"
        );
        assert_eq!(shared(400, &[claim(0, 720), claim(0, 720), claim(5, 720)]), [Some(0), None, Some(0)]);
    }

    #[test]
    fn what_is_left_goes_to_the_important_ones_first_and_else_to_the_most_deprived() {
        assert_eq!(shared(2300, &[claim(0, 720), claim(5, 720), claim(0, 720)]), [Some(0), Some(2), Some(0)]);
        assert_eq!(shared(1300, &[claim(0, 720), claim(0, 720)]), [Some(1), Some(1)]);
        // The one shown large lacks more of its height than the thumbnail.
        assert_eq!(shared(800, &[claim(0, 200), claim(0, 720)]), [Some(0), Some(1)]);
    }

    #[test]
    fn what_is_kept_costs_less_than_what_is_new() {
        let keeps = |current, rises_to| Claim { current: Some(current), rises_to, ..claim(0, 720) };
        assert_eq!(shared(1790, &[keeps(1, u16::MAX)]), [Some(1)], "1500 does not fit with room to spare");
        assert_eq!(shared(1810, &[keeps(1, u16::MAX)]), [Some(2)]);
        assert_eq!(shared(1550, &[keeps(2, u16::MAX)]), [Some(2)]);
        assert_eq!(shared(1450, &[keeps(2, u16::MAX)]), [Some(1)]);
        assert_eq!(shared(9000, &[keeps(1, 0)]), [Some(1)], "not yet");
        assert_eq!(shared(9000, &[keeps(0, 719)]), [Some(1)], "and no larger than so");
        assert_eq!(shared(9000, &[keeps(0, 359)]), [Some(0)]);
        assert_eq!(shared(9000, &[keeps(2, 359)]), [Some(2)], "what is shown may go on");
        assert_eq!(shared(9000, &[Claim { rises_to: 0, ..claim(0, 720) }]), [Some(0)]);
        assert_eq!(shared(9000, &[Claim { rises_to: 0, may_resume: false, ..claim(0, 720) }]), [None]);
        assert_eq!(shared(9000, &[Claim { rises_to: 179, may_resume: false, ..claim(0, 720) }]), [Some(0)]);
    }

    #[test]
    fn what_is_new_must_fit_when_its_source_is_lively_again() {
        let mut ladder = LADDER;
        ladder[2].highest = Bitrate::kbps(2500);
        let shows = |current| Claim { ladder: &ladder, current: Some(current), ..claim(0, 720) };
        assert_eq!(shared(2490, &[shows(1)]), [Some(1)]);
        assert_eq!(shared(2510, &[shows(1)]), [Some(2)]);
        assert_eq!(shared(1550, &[shows(2)]), [Some(2)], "what is shown takes what it takes");
    }

    #[test]
    fn a_picture_held_small_still_moves_as_well_as_it_can() {
        let ladder = [rung(180, 60), rung(180, 100), rung(180, 150), rung(360, 500)];
        let held = Claim { ladder: &ladder, current: Some(0), rises_to: 0, ..claim(0, 360) };
        assert_eq!(shared(900, &[held]), [Some(2)]);
        assert_eq!(shared(125, &[held]), [Some(1)]);
    }

    #[test]
    fn without_a_ladder_nothing_is_given() {
        assert_eq!(shared(9000, &[Claim { ladder: &[], ..claim(0, 720) }]), [None]);
        assert_eq!(share(Bitrate::MAX, &[]), []);
    }

    fn ladders() -> impl Strategy<Value = Vec<Rung>> {
        prop::collection::vec((1u16..2000, 1u64..5000), 0..8).prop_map(|mut rungs| {
            rungs.sort();
            rungs.into_iter().map(|(height, kbps)| rung(height, kbps)).collect()
        })
    }

    fn heights() -> impl Strategy<Value = u16> {
        prop_oneof![Just(0), 0u16..2000, Just(u16::MAX)]
    }

    proptest! {
        #[test]
        fn the_budget_is_kept_and_no_rung_is_out_of_reach(
            ladders in prop::collection::vec((ladders(), 0u8..4, 1u16..2000, prop::option::of(0usize..8), heights(), any::<bool>()), 0..12),
            kbps in 0u64..20_000,
        ) {
            let claims: Vec<Claim<'_>> = ladders
                .iter()
                .map(|(ladder, priority, max_height, current, rises_to, may_resume)| Claim {
                    priority: *priority,
                    max_height: *max_height,
                    ladder,
                    current: current.filter(|&at| at < ladder.len()),
                    rises_to: *rises_to,
                    may_resume: *may_resume,
                })
                .collect();
            let given = share(Bitrate::kbps(kbps), &claims);
            prop_assert_eq!(given.len(), claims.len());
            let cost = |(claim, given): (&Claim<'_>, &Option<usize>)| given.map_or(Bitrate::ZERO, |at| claim.ladder[at].bitrate);
            let dearest_first_step = |claim: &Claim<'_>| claim.ladder.windows(2).any(|pair| pair[1].bitrate < pair[0].bitrate);
            // Where a better rung is cheaper its price counts as nothing, so the sum may only be judged without such.
            if !claims.iter().any(dearest_first_step) {
                let total: Bitrate = claims.iter().zip(&given).map(cost).sum();
                prop_assert!(total <= Bitrate::kbps(kbps));
            }
            for (claim, given) in claims.iter().zip(&given) {
                prop_assert!(*given <= claim.ceiling());
                if claim.current.is_none() && claim.rises_to == 0 && !claim.may_resume {
                    prop_assert_eq!(*given, None);
                }
                // A picture that begins anew begins with the least there is, however high.
                if let Some(given) = *given && (given > 0 || claim.current.is_some()) {
                    let shown = claim.current.map_or(0, |current| claim.ladder[current].height);
                    prop_assert!(claim.ladder[given].height <= claim.rises_to.max(shown));
                }
            }
        }

        #[test]
        fn more_budget_never_shows_fewer_pictures(steps in prop::collection::vec(0u64..6000, 2..6)) {
            let claims = [claim(0, 720), claim(3, 360), claim(0, 720), claim(9, 720)];
            let mut steps = steps;
            steps.sort();
            let seen: Vec<usize> =
                steps.iter().map(|&kbps| shared(kbps, &claims).iter().flatten().count()).collect();
            prop_assert!(seen.is_sorted(), "{steps:?}: {seen:?}");
        }
    }
}
