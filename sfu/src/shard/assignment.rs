//! Which wish goes into which slot.
//!
//! A picture that is already in a slot stays there as long as it is wished for: moving it would cost a key frame. A sound prefers the slot
//! with the number of its owner's picture, since slots of one number share a stream and are played in sync.

use crate::id::PublicationId;

/// A wish for a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    pub(crate) publication: PublicationId,
    /// The slot it should be in, if that can be had.
    pub(crate) preferred: Option<usize>,
}

/// Fills as many slots as there are, the first wishes first. The result has the length of `current`.
pub(crate) fn assign(current: &[Option<PublicationId>], wishes: &[Wish]) -> Vec<Option<PublicationId>> {
    let served = wishes.get(..current.len()).unwrap_or(wishes);
    let mut slots = vec![None; current.len()];
    let mut place = |wish: &Wish, at: Option<usize>| {
        let slot = at.and_then(|at| slots.get_mut(at)).filter(|slot| slot.is_none());
        slot.map(|slot| *slot = Some(wish.publication)).is_some()
    };
    let mut left: Vec<&Wish> = served.iter().filter(|wish| !place(wish, wish.preferred)).collect();
    left.retain(|wish| !place(wish, current.iter().position(|&now| now == Some(wish.publication))));
    let reserved: Vec<usize> = served.iter().filter_map(|wish| wish.preferred).collect();
    let mut free: Vec<usize> = (0..slots.len()).filter(|&at| slots[at].is_none()).collect();
    free.sort_by_key(|at| reserved.contains(at));
    for (wish, at) in left.into_iter().zip(free) {
        slots[at] = Some(wish.publication);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ParticipantId;

    fn publication(n: u64) -> PublicationId {
        PublicationId { participant: ParticipantId(n), index: 0 }
    }

    fn wishes(of: &[(u64, Option<usize>)]) -> Vec<Wish> {
        of.iter().map(|&(n, preferred)| Wish { publication: publication(n), preferred }).collect()
    }

    fn slots(of: &[u64]) -> Vec<Option<PublicationId>> {
        of.iter().map(|&n| (n > 0).then(|| publication(n))).collect()
    }

    #[test]
    fn empty_slots_are_filled_in_the_order_of_wishes() {
        assert_eq!(assign(&slots(&[0, 0, 0]), &wishes(&[(5, None), (3, None)])), slots(&[5, 3, 0]));
        assert_eq!(assign(&slots(&[0]), &wishes(&[(5, None), (3, None)])), slots(&[5]));
        assert_eq!(assign(&[], &wishes(&[(5, None)])), slots(&[]));
    }

    #[test]
    fn what_is_shown_and_still_wished_stays_where_it_is() {
        assert_eq!(
            assign(&slots(&[1, 2, 3]), &wishes(&[(3, None), (4, None), (1, None)])),
            slots(&[1, 4, 3])
        );
        assert_eq!(assign(&slots(&[1, 2]), &[]), slots(&[0, 0]));
    }

    #[test]
    fn a_wish_beyond_the_slots_yields_to_those_before_it() {
        assert_eq!(assign(&slots(&[1, 2]), &wishes(&[(3, None), (4, None), (1, None)])), slots(&[3, 4]));
    }

    #[test]
    fn a_sound_goes_to_its_pictures_slot_and_others_make_room() {
        assert_eq!(assign(&slots(&[9, 0, 0]), &wishes(&[(9, None), (7, Some(0))])), slots(&[7, 9, 0]));
        assert_eq!(assign(&slots(&[0, 0, 0]), &wishes(&[(9, None), (7, Some(2))])), slots(&[9, 0, 7]));
        // Two pictures of one owner would reserve one slot only; the second wish finds another place.
        assert_eq!(assign(&slots(&[0, 0]), &wishes(&[(7, Some(0)), (8, Some(0))])), slots(&[7, 8]));
    }
}
