use super::hello::Fragment;

/// Stands before the handshake machine: lets through what an honest client sends, and not more of it than a handshake needs.
///
/// The machine keeps what it cannot use yet (records of the next epoch, handshake fragments) without a bound and joins fragments
/// recursively. Everything it keeps is counted here first.
#[derive(Default)]
pub(super) struct RecordGuard {
    handshake_bytes: usize,
    fragments: usize,
}

/// Why a datagram does not get through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Not whole and sane records.
    Malformed,
    /// More than any handshake takes.
    TooMuch,
}

impl RecordGuard {
    /// Judges a whole datagram: one bad record spoils it.
    pub(super) fn inspect(&mut self, datagram: &[u8], established: bool) -> Result<(), Refusal> {
        if datagram.is_empty() {
            return Err(Refusal::Malformed);
        }
        let mut fragments = 0_usize;
        for record in Records(datagram) {
            let record = record.ok_or(Refusal::Malformed)?;
            let sane = match (record.epoch, record.kind, established) {
                (0, HANDSHAKE, _) => {
                    let mut whole = true;
                    for fragment in record.fragments() {
                        whole &= fragment.is_some();
                        fragments = fragments.saturating_add(1);
                    }
                    whole
                }
                // A client that missed our last flight repeats its own, this record among it.
                (0, CHANGE_CIPHER_SPEC, _) | (0, ALERT, false) => true,
                (1, HANDSHAKE, _) => {
                    // Only Finished comes encrypted, and renegotiation does not exist here.
                    fragments = fragments.saturating_add(MAX_FRAGMENTS_ENCRYPTED);
                    record.body.len() <= MAX_ENCRYPTED_HANDSHAKE
                }
                (1, ALERT | APPLICATION_DATA, _) => true,
                _ => false,
            };
            if !sane {
                return Err(Refusal::Malformed);
            }
        }
        if !established || fragments > 0 {
            self.handshake_bytes = self.handshake_bytes.saturating_add(datagram.len());
            self.fragments = self.fragments.saturating_add(fragments);
        }
        if self.handshake_bytes > MAX_HANDSHAKE_BYTES || self.fragments > MAX_FRAGMENTS {
            // Application data of an established association is not held against it.
            return if established && fragments == 0 { Ok(()) } else { Err(Refusal::TooMuch) };
        }
        Ok(())
    }
}

/// Whether there is something of a handshake in a datagram.
pub(super) fn of_handshake(datagram: &[u8]) -> bool {
    Records(datagram).flatten().any(|record| matches!(record.kind, HANDSHAKE | CHANGE_CIPHER_SPEC))
}

/// One record of DTLS 1.2 (RFC 6347 section 4.1).
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The handshake fragments in it; `None` once, and then no more, where they are not sane.
    pub(super) fn fragments(&self) -> Fragments<'a> {
        Fragments(self.body)
    }
}

/// The records of a datagram; `None` once, and then no more, where one is cut off or empty.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Option<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let datagram = std::mem::take(&mut self.0);
        let record = (|| {
            let (header, rest) = datagram.split_first_chunk::<13>()?;
            let [kind, major, _, epoch @ .., _, _, _, _, _, _, _, _] = *header;
            let length = header.last_chunk::<2>()?;
            let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            if major != 0xfe || body.is_empty() {
                return None;
            }
            self.0 = rest;
            Some(Record { kind, epoch: u16::from_be_bytes(epoch), body })
        })();
        Some(record)
    }
}

/// See [`Record::fragments`].
pub(super) struct Fragments<'a>(&'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = Option<Fragment<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = std::mem::take(&mut self.0);
        let fragment = (|| {
            let (header, rest) = record.split_first_chunk::<12>()?;
            let [kind, l0, l1, l2, m0, m1, o0, o1, o2, f0, f1, f2] = *header;
            let wide = |a, b, c| u32::from_be_bytes([0, a, b, c]) as usize;
            let (length, offset, fragment_len) = (wide(l0, l1, l2), wide(o0, o1, o2), wide(f0, f1, f2));
            let (body, rest) = rest.split_at_checked(fragment_len)?;
            let fits = offset.checked_add(fragment_len)? <= length && length <= MAX_MESSAGE;
            let is_part = fragment_len < length;
            // A part without content joins nothing, and after a part the machine would look for the next one in the wrong place.
            if !fits || (is_part && (fragment_len == 0 || !rest.is_empty())) {
                return None;
            }
            self.0 = rest;
            let sequence = u16::from_be_bytes([m0, m1]);
            Some(Fragment { kind, sequence, length, offset, body })
        })();
        Some(fragment)
    }
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A client's certificate chain is the longest message; self-signed ones have under 1 kB.
const MAX_MESSAGE: usize = 16 * 1024;
/// A handshake takes some 5 kB; this leaves room for every retransmission in the time it has.
const MAX_HANDSHAKE_BYTES: usize = 256 * 1024;
const MAX_FRAGMENTS: usize = 1024;
/// Finished takes 24 bytes; explicit nonce, padding and tag come on top.
const MAX_ENCRYPTED_HANDSHAKE: usize = 128;
/// What an encrypted record of that size could hold.
const MAX_FRAGMENTS_ENCRYPTED: usize = MAX_ENCRYPTED_HANDSHAKE / 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0];
        record.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
        record.extend(body);
        record
    }

    fn fragment(length: u8, offset: u8, body: &[u8]) -> Vec<u8> {
        let mut fragment = vec![1, 0, 0, length, 0, 0, 0, 0, offset, 0, 0, body.len() as u8];
        fragment.extend(body);
        fragment
    }

    fn verdict(datagram: &[u8], established: bool) -> Result<(), Refusal> {
        RecordGuard::default().inspect(datagram, established)
    }

    #[test]
    fn honest_records_pass() {
        let hello = record(HANDSHAKE, 0, &fragment(4, 0, b"abcd"));
        assert_eq!(verdict(&hello, false), Ok(()));
        assert_eq!(verdict(&record(HANDSHAKE, 0, &fragment(4, 2, b"cd")), false), Ok(()));
        assert_eq!(verdict(&record(HANDSHAKE, 0, &fragment(0, 0, b"")), false), Ok(()));
        let mut flight = hello.clone();
        flight.extend(record(CHANGE_CIPHER_SPEC, 0, &[1]));
        flight.extend(record(HANDSHAKE, 1, &[0; 48]));
        assert_eq!(verdict(&flight, false), Ok(()));
        assert_eq!(verdict(&record(APPLICATION_DATA, 1, &[0; 1200]), true), Ok(()));
        assert_eq!(verdict(&flight, true), Ok(()), "a repeated flight");
    }

    #[test]
    fn what_is_of_a_handshake_is_told_from_what_comes_after_it() {
        let (data, alert) = (record(APPLICATION_DATA, 1, b"data"), record(ALERT, 1, &[0; 26]));
        assert!(![&data[..], &alert, &[data.clone(), alert.clone()].concat()].into_iter().any(of_handshake));
        for (kind, epoch) in [(HANDSHAKE, 0), (HANDSHAKE, 1), (CHANGE_CIPHER_SPEC, 0)] {
            let part = record(kind, epoch, &[1; 48]);
            assert!(of_handshake(&part) && of_handshake(&[&data[..], &part].concat()), "{kind} {epoch}");
        }
    }

    #[test]
    fn what_the_machine_must_not_see_does_not_pass() {
        for (datagram, established) in [
            (vec![], false),
            (vec![HANDSHAKE], false),
            (record(HANDSHAKE, 0, &[]), false),
            (record(HANDSHAKE, 0, &fragment(4, 1, b"")), false),
            (record(HANDSHAKE, 0, &fragment(4, 3, b"cd")), false),
            (record(HANDSHAKE, 0, &[fragment(4, 0, b"ab"), fragment(4, 2, b"cd")].concat()), false),
            (record(HANDSHAKE, 2, &[0; 48]), true),
            (record(APPLICATION_DATA, 2, &[0; 48]), true),
            (record(APPLICATION_DATA, 0, &[0; 48]), false),
            (record(ALERT, 0, &[2, 0]), true),
            (record(HANDSHAKE, 1, &[0; 200]), false),
            (record(24, 0, &[0; 48]), false),
        ] {
            assert_eq!(verdict(&datagram, established), Err(Refusal::Malformed), "{datagram:?}");
        }
    }

    #[test]
    fn a_handshake_has_a_budget_and_data_has_none() {
        let mut guard = RecordGuard::default();
        let hello = record(HANDSHAKE, 0, &fragment(4, 0, b"abcd"));
        for _ in 0..MAX_FRAGMENTS {
            assert_eq!(guard.inspect(&hello, false), Ok(()));
        }
        assert_eq!(guard.inspect(&hello, false), Err(Refusal::TooMuch));
        assert_eq!(guard.inspect(&hello, true), Err(Refusal::TooMuch));
        assert_eq!(guard.inspect(&record(APPLICATION_DATA, 1, &[0; 1200]), true), Ok(()));
    }

    proptest! {
        #[test]
        fn anything_is_judged_without_a_panic(
            kind in 20_u8..26,
            epoch in 0_u8..3,
            body in proptest::collection::vec(0_u8..20, 0..120),
            established in any::<bool>(),
        ) {
            let _ = verdict(&record(kind, epoch, &body), established);
            let _ = verdict(&body, established);
        }
    }
}
