use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::id::ParticipantId;

/// A voice that speaks as people do: syllables, the gaps between them, pauses between phrases.
struct Talker {
    id: PublicationId,
    talks: bool,
    /// The rest of a syllable or a gap, and how loud it is.
    left: u32,
    level: u8,
    syllables: u32,
}

struct Table {
    rng: ChaCha8Rng,
    now: Instant,
    speakers: Speakers,
    talkers: Vec<Talker>,
    /// Who led, whenever something was told.
    leaders: Vec<Option<u64>>,
}

impl Table {
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn new(seed: u64, talkers: u64) -> Self {
        let talker = |n| Talker { id: id(n), talks: false, left: 0, level: 80, syllables: 0 };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Instant::now(),
            speakers: Speakers::default(),
            talkers: (0..talkers).map(talker).collect(),
            leaders: Vec::new(),
        }
    }

    /// Lets those talk and nobody else.
    fn talk(&mut self, who: &[u64], ms: u64) {
        for talker in &mut self.talkers {
            talker.talks = who.contains(&talker.id.participant.0);
            talker.left = 0;
        }
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now += FRAME;
            for talker in &mut self.talkers {
                talker.step(&mut self.rng);
                self.speakers.on_level(self.now, talker.id, talker.level);
            }
            self.poll();
        }
    }

    fn poll(&mut self) {
        let led = self.leaders.last().copied().flatten();
        if let Some(told) = self.speakers.poll(self.now) {
            let leader = told.first().map(|speaker| speaker.publication.participant.0);
            if leader != led {
                self.leaders.push(leader);
            }
        }
    }

    fn listed(&self) -> Vec<u64> {
        self.speakers.told.iter().map(|speaker| speaker.publication.participant.0).collect()
    }
}

impl Talker {
    fn step(&mut self, rng: &mut ChaCha8Rng) {
        if !self.talks {
            self.level = rng.random_range(72..=85);
            return;
        }
        if self.left == 0 {
            let spoke = self.level < 50;
            self.syllables += u32::from(spoke);
            let pause = spoke && self.syllables.is_multiple_of(7);
            (self.left, self.level) = match (spoke, pause) {
                (true, true) => (rng.random_range(10..20), 75),
                (true, false) => (rng.random_range(1..6), rng.random_range(55..75)),
                (false, _) => (rng.random_range(6..15), rng.random_range(20..40)),
            };
        }
        self.left -= 1;
    }
}

fn id(n: u64) -> PublicationId {
    PublicationId { participant: ParticipantId(n), index: 0 }
}

#[test]
fn who_speaks_leads_and_turns_are_followed_within_a_second_and_a_half() {
    for seed in 0..50 {
        let mut table = Table::new(seed, 5);
        table.talk(&[], 2000);
        assert_eq!(table.leaders, []);
        for turn in [3, 0, 4, 1] {
            table.talk(&[turn], 1500);
            assert_eq!(table.listed().first(), Some(&turn), "seed {seed}");
            table.talk(&[turn], 5000);
            assert_eq!(table.listed(), [turn], "seed {seed}");
        }
        assert_eq!(table.leaders, [Some(3), Some(0), Some(4), Some(1)], "seed {seed}");
    }
}

#[test]
fn of_two_who_talk_over_each_other_the_first_stays() {
    let mut changes = 0;
    for seed in 0..50 {
        let mut table = Table::new(seed, 2);
        table.talk(&[0], 5000);
        table.talk(&[0, 1], 60_000);
        assert_eq!(table.leaders[0], Some(0));
        assert_eq!(table.listed().len(), 2, "both are told of: seed {seed}");
        changes += table.leaders.len() - 1;
    }
    assert!(changes <= 10, "{changes} changes in fifty minutes");
}

#[test]
fn a_cough_is_no_speech() {
    for seed in 0..50 {
        let mut table = Table::new(seed, 3);
        let cough = |table: &mut Table| {
            for _ in 0..15 {
                table.now += FRAME;
                table.speakers.on_level(table.now, id(2), 10);
                table.poll();
            }
        };
        table.talk(&[], 3000);
        cough(&mut table);
        table.talk(&[], 3000);
        assert_eq!(table.leaders, [], "in silence: seed {seed}");
        table.talk(&[0], 5000);
        cough(&mut table);
        assert_eq!(table.listed(), [0]);
        table.talk(&[0], 3000);
        assert_eq!(table.leaders, [Some(0)], "in another's pause: seed {seed}");
    }
}

#[test]
fn silence_ends_it_even_when_packets_stop() {
    let mut table = Table::new(1, 2);
    table.talk(&[1], 5000);
    assert_eq!(table.listed(), [1]);
    let silent = table.now;
    while let Some(due) = table.speakers.poll_timeout() {
        assert!(due > table.now, "it is not looked at again and again");
        table.now = due;
        table.poll();
    }
    assert_eq!(table.leaders, [Some(1), None]);
    assert!(table.now - silent < Duration::from_secs(4), "then it rests");
    assert_eq!(table.speakers.poll_timeout(), None);
}

#[test]
fn it_is_told_on_changes_only_and_not_too_often() {
    for seed in 0..20 {
        let mut table = Table::new(seed, 12);
        let (mut last, mut former) = (None::<Instant>, Vec::new());
        for turn in 0..20 {
            for talker in &mut table.talkers {
                talker.talks = (talker.id.participant.0 + turn) % 3 == 0 || turn == 10;
            }
            for _ in 0..60 {
                table.now += FRAME;
                for talker in &mut table.talkers {
                    talker.step(&mut table.rng);
                    table.speakers.on_level(table.now, talker.id, talker.level);
                }
                let Some(told) = table.speakers.poll(table.now) else { continue };
                let ids: Vec<_> = told.iter().map(|speaker| speaker.publication).collect();
                assert_ne!(ids, former);
                assert!(ids.len() <= Speakers::MOST);
                assert!(last.is_none_or(|last| table.now - last >= Speakers::INTERVAL), "seed {seed}");
                (last, former) = (Some(table.now), ids);
            }
        }
    }
}

#[test]
fn an_onset_is_told_within_a_tenth_of_a_second_once() {
    for (packet, seed) in [(1, 1), (2, 2), (3, 3)] {
        let mut table = Table::new(seed, 1);
        table.talk(&[], 2000);
        let mut onsets = Vec::new();
        for frame in 1..=50u32 {
            table.now += FRAME;
            if frame % packet == 0 && table.speakers.on_level(table.now, id(0), 30) == Heard::Onset {
                onsets.push(frame);
            }
        }
        assert_eq!(onsets.len(), 1);
        assert!(onsets[0] <= 5, "{onsets:?}");
    }
}

#[test]
fn what_is_said_is_not_cut_and_the_longest_silent_yields_first() {
    let mut table = Table::new(5, 3);
    table.talk(&[0], 4000);
    table.talk(&[1], 4000);
    table.talk(&[], 1000);
    let silence = |table: &Table, n| table.speakers.silence(table.now, id(n));
    let order = [2, 0, 1].map(|n| silence(&table, n).expect("silent"));
    assert!(order.is_sorted());
    assert_eq!(table.speakers.recent(), [id(1), id(0)]);
    table.talk(&[0], 300);
    assert!(table.speakers.is_sounding(table.now, id(0)));
    table.talk(&[], 1000);
    assert!(!table.speakers.is_sounding(table.now, id(0)));
    assert_eq!(silence(&table, 0), None, "heard for two seconds at least");
    table.talk(&[], 1000);
    assert!(silence(&table, 0).is_some());
}

#[test]
fn who_is_gone_is_not_told_of() {
    let mut table = Table::new(6, 2);
    table.talk(&[0, 1], 4000);
    assert_eq!(table.listed().len(), 2);
    let leader = table.listed()[0];
    table.speakers.forget(table.now, id(leader));
    assert_eq!(table.speakers.poll_timeout(), Some(table.now));
    table.poll();
    assert_eq!(table.listed(), [1 - leader]);
    assert_eq!(table.speakers.recent(), [id(1 - leader)]);
}
