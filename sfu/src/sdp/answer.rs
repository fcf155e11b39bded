//! The decision about an offer, and its continuity with what was agreed before.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::connection::Setup;
use super::extensions::{self, Way};
use super::offer::{Body, Media};
use super::write::write;
use super::{
    DtlsRole, Extensions, Fingerprint, Flow, IceCredentials, MediaLine, Negotiated, Offer, OfferError,
    PayloadFormat, SlotIdentity,
};
use crate::codec::Kind;
use crate::id::Mid;

/// What is ours in an answer.
pub struct Local<'a> {
    /// Our ICE credentials.
    pub ice: &'a IceCredentials,
    /// Our certificate.
    pub fingerprint: &'a Fingerprint,
    /// Where media is received: host candidates.
    pub candidates: &'a [SocketAddr],
    /// The `o=` line's session id, the same for every answer of a connection.
    pub session_id: u64,
    /// The `o=` line's version, one more with each answer.
    pub session_version: u64,
    /// The slots' identities. Called once for each slot in the offer, in order. A mid keeps its identity: a browser refuses an
    /// answer in which an SSRC has moved to another m-line.
    pub slot: &'a mut dyn FnMut(Mid, Kind) -> SlotIdentity,
}

/// Decides about `offer`, writes the answer and returns both.
///
/// `previous` is what the last answer on this connection decided. The offer may add m-lines, stop them, and put new ones in
/// the place of stopped ones; the certificate, the DTLS role, the kind behind a mid and the order of m-lines stay. A changed one is
/// [`OfferError::Discontinuous`], the only error there is; `local.slot` is not called then.
///
/// Whether `local.ice` has to be new is told by [`Offer::ice_restarted`].
pub fn answer(
    offer: &Offer,
    previous: Option<&Negotiated>,
    mut local: Local<'_>,
) -> Result<(String, Negotiated), OfferError> {
    let dtls_role = match previous {
        None => offer.dtls_role(),
        Some(previous) => {
            require_continuity(offer, previous)?;
            previous.dtls_role
        }
    };
    let mut media = Vec::new();
    let mut data = false;
    for line in &offer.lines {
        match (&line.body, line.mid) {
            (Body::Media(offered), Some(mid)) => media.push(decide(mid, offered, &mut local)),
            (Body::Rejected(Some(kind)), Some(mid)) => media.push(MediaLine {
                mid,
                kind: *kind,
                flow: Flow::Nothing,
                codecs: Vec::new(),
                extensions: Extensions::default(),
            }),
            (Body::Data, _) => data = true,
            _ => {}
        }
    }
    let negotiated =
        Negotiated { ice: offer.ice.clone(), fingerprint: offer.fingerprint, dtls_role, media, data };
    Ok((write(offer, &negotiated, &local), negotiated))
}

fn decide(mid: Mid, offered: &Media, local: &mut Local<'_>) -> MediaLine {
    let flow = if offered.direction.sends() {
        Flow::Receive { rids: offered.simulcast.rids.clone(), ssrcs: offered.ssrcs.clone() }
    } else if offered.direction.receives() {
        Flow::Send((local.slot)(mid, offered.kind))
    } else {
        Flow::Nothing
    };
    let way = way(&flow);
    let mut extensions = Extensions::default();
    for agreed in extensions::agreed(&offered.extensions, offered.kind, way) {
        extensions.insert(agreed);
    }
    let codecs = offered
        .formats
        .iter()
        .map(|offered| {
            // Feedback counts packets by the extension's sequence number: one is nothing without the other.
            let transport_cc = offered.format.transport_cc && extensions.transport_cc.is_some();
            // Of what we send, where nothing better tells of the line.
            let remb = offered.format.remb && !transport_cc && way == Way::FromUs;
            PayloadFormat { transport_cc, remb, ..offered.format.clone() }
        })
        .collect();
    MediaLine { mid, kind: offered.kind, flow, codecs, extensions }
}

/// Which way packets go.
pub(super) fn way(flow: &Flow) -> Way {
    match flow {
        Flow::Nothing => Way::Neither,
        Flow::Receive { .. } => Way::ToUs,
        Flow::Send(_) => Way::FromUs,
    }
}

fn require_continuity(offer: &Offer, previous: &Negotiated) -> Result<(), OfferError> {
    if offer.fingerprint != previous.fingerprint {
        return Err(discontinuous("the certificate has changed"));
    }
    match (offer.setup, previous.dtls_role) {
        (Setup::Either, _) | (Setup::Active, DtlsRole::Server) | (Setup::Passive, DtlsRole::Client) => {}
        (Setup::Active, DtlsRole::Client) | (Setup::Passive, DtlsRole::Server) => {
            return Err(discontinuous("the DTLS role has changed"));
        }
    }
    if offer.lines.len() < previous.media.len() + usize::from(previous.data) {
        return Err(discontinuous("m-lines have vanished"));
    }
    if previous.data && !offer.lines.iter().any(|line| line.media == "application") {
        return Err(discontinuous("the m-line of the data channels has vanished"));
    }
    let before: BTreeMap<Mid, (usize, &MediaLine)> =
        previous.media.iter().enumerate().map(|(place, line)| (line.mid, (place, line))).collect();
    let mut last = None;
    let mut kept = 0;
    for line in &offer.lines {
        let Some((place, earlier)) = line.mid.and_then(|mid| before.get(&mid)) else { continue };
        let kind = match &line.body {
            Body::Media(media) => Some(media.kind),
            Body::Rejected(kind) => *kind,
            Body::Data => None,
        };
        if kind != Some(earlier.kind) {
            return Err(discontinuous("a mid is of another kind than before"));
        }
        // A stopped m-line's place is free for another one; a mid that is in use stays where it is.
        if earlier.flow != Flow::Nothing {
            if last.is_some_and(|last| *place < last) {
                return Err(discontinuous("the m-lines are in another order than before"));
            }
            last = Some(*place);
            kept += 1;
        }
    }
    if kept < previous.media.iter().filter(|line| line.flow != Flow::Nothing).count() {
        return Err(discontinuous("a mid in use has vanished"));
    }
    Ok(())
}

fn discontinuous(reason: &'static str) -> OfferError {
    OfferError::Discontinuous { reason }
}
