//! Header extensions: what was offered, and what of it is agreed for a direction (RFC 8285).

use super::lines::{Attributes, malformed, parse_number};
use super::{Extensions, OfferError};
use crate::codec::Kind;

/// A direction, seen from the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    SendReceive,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

impl Direction {
    /// Reads an attribute's name or an extension's suffix.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendReceive),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::ReceiveOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// Whether the client sends.
    pub(super) fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Whether the client receives.
    pub(super) fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }
}

/// An extension of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extension {
    Mid,
    Rid,
    RepairedRid,
    TransportCc,
    AudioLevel,
    Dependency,
    PlayoutDelay,
}

impl Extension {
    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::Dependency => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        }
    }

    fn from_uri(uri: &str) -> Option<Self> {
        const ALL: [Extension; 7] = [
            Extension::Mid,
            Extension::Rid,
            Extension::RepairedRid,
            Extension::TransportCc,
            Extension::AudioLevel,
            Extension::Dependency,
            Extension::PlayoutDelay,
        ];
        ALL.into_iter().find(|extension| extension.uri() == uri)
    }

    /// Whether it is of use on an m-line of this kind, where packets go this way.
    fn wanted(self, kind: Kind, way: Way) -> bool {
        match self {
            Self::Mid => true,
            Self::AudioLevel => kind == Kind::Audio && way != Way::Neither,
            Self::Rid | Self::RepairedRid => kind == Kind::Video && way == Way::ToUs,
            Self::TransportCc => way != Way::Neither,
            Self::Dependency => kind == Kind::Video && way != Way::Neither,
            // Ours to tell, by what we know of the line down. What a publisher would say of its own is nothing to its viewers.
            Self::PlayoutDelay => kind == Kind::Video && way == Way::FromUs,
        }
    }
}

/// Which way packets go on an m-line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    ToUs,
    FromUs,
    Neither,
}

/// An extension of ours as offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfferedExtension {
    pub(super) extension: Extension,
    /// 1 to 14.
    pub(super) id: u8,
    /// `None` when the offer says nothing, which means the m-line's direction.
    direction: Option<Direction>,
}

impl OfferedExtension {
    /// How the answer names the direction: the offered one, seen from our side.
    pub(super) fn answered_direction(&self) -> &'static str {
        match self.direction {
            None => "",
            Some(Direction::SendReceive) => "/sendrecv",
            Some(Direction::SendOnly) => "/recvonly",
            Some(Direction::ReceiveOnly) => "/sendonly",
            Some(Direction::Inactive) => "/inactive",
        }
    }

    fn goes(&self, way: Way) -> bool {
        match (self.direction, way) {
            (None, _) => true,
            (Some(direction), Way::ToUs) => direction.sends(),
            (Some(direction), Way::FromUs) => direction.receives(),
            (Some(direction), Way::Neither) => direction != Direction::Inactive,
        }
    }
}

/// Reads the extensions of ours; the first line counts where two give one extension an id, or two extensions one id.
/// Ids that need the two-byte form are left out, and so is the dependency descriptor where the two forms may not be mixed: with a structure in it it
/// is longer than the one-byte form takes.
pub(super) fn offered(
    attributes: &Attributes<'_>,
    allow_mixed: bool,
) -> Result<Vec<OfferedExtension>, OfferError> {
    let mut offered: Vec<OfferedExtension> = Vec::new();
    for value in attributes.values("extmap") {
        let mut words = value.split_ascii_whitespace();
        let (Some(target), Some(uri)) = (words.next(), words.next()) else {
            return Err(malformed("an a=extmap line names no extension"));
        };
        let (id, direction) = match target.split_once('/') {
            None => (target, None),
            Some((id, name)) => {
                let direction =
                    Direction::from_name(name).ok_or(malformed("an a=extmap line has no valid direction"))?;
                (id, Some(direction))
            }
        };
        let id: u16 = parse_number(id).ok_or(malformed("an a=extmap line has no valid id"))?;
        let Some(id) = u8::try_from(id).ok().filter(|id| (1..=14).contains(id)) else { continue };
        let Some(extension) = Extension::from_uri(uri) else { continue };
        if extension == Extension::Dependency && !allow_mixed {
            continue;
        }
        if !offered.iter().any(|other| other.id == id || other.extension == extension) {
            offered.push(OfferedExtension { extension, id, direction });
        }
    }
    Ok(offered)
}

/// What of `offered` is agreed where packets go `way`, in the order offered.
pub(super) fn agreed(
    offered: &[OfferedExtension],
    kind: Kind,
    way: Way,
) -> impl Iterator<Item = &OfferedExtension> {
    offered.iter().filter(move |offered| offered.extension.wanted(kind, way) && offered.goes(way))
}

impl Extensions {
    pub(super) fn insert(&mut self, agreed: &OfferedExtension) {
        let place = match agreed.extension {
            Extension::Mid => &mut self.mid,
            Extension::Rid => &mut self.rid,
            Extension::RepairedRid => &mut self.repaired_rid,
            Extension::TransportCc => &mut self.transport_cc,
            Extension::AudioLevel => &mut self.audio_level,
            Extension::Dependency => &mut self.dependency,
            Extension::PlayoutDelay => &mut self.playout_delay,
        };
        *place = Some(agreed.id);
    }
}
