//! What a client offered, validated.

use std::collections::{BTreeMap, BTreeSet};

use super::connection::{Setup, Sources};
use super::extensions::{self, Direction, Extension, OfferedExtension, Way};
use super::formats::{Format, formats};
use super::lines::{Attributes, Description, Section, is_token, malformed, parse_number};
use super::streams::{Simulcast, ssrcs};
use super::{DtlsRole, Fingerprint, IceCredentials, Negotiated, OfferError};
use crate::Limits;
use crate::codec::Kind;
use crate::id::{Mid, Ssrc};

/// A validated offer: what [`answer`](super::answer) decides about.
#[derive(Clone, Debug)]
pub struct Offer {
    pub(super) ice: IceCredentials,
    pub(super) fingerprint: Fingerprint,
    pub(super) setup: Setup,
    /// The BUNDLE group in the order offered, or `None` without a group.
    pub(super) bundle: Option<Vec<Mid>>,
    pub(super) extmap_allow_mixed: bool,
    pub(super) lines: Vec<Line>,
    /// Our limit of a message on a data channel.
    pub(super) message_bytes: usize,
}

/// One m-line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Absent on some stopped m-lines only.
    pub(super) mid: Option<Mid>,
    /// Whether the mid is ours, because the offer's only m-line has none: the answer does not name it then.
    pub(super) nameless: bool,
    pub(super) media: String,
    pub(super) protocol: String,
    /// The first of its formats, which a rejected m-line is answered with.
    pub(super) format: String,
    pub(super) body: Body,
}

/// What an m-line is for.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Stopped by the client, or not served: answered with port 0. The kind, if it is audio or video.
    Rejected(Option<Kind>),
    /// Data channels.
    Data,
    /// Audio or video.
    Media(Media),
}

/// An audio or video m-line that can be served.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    /// Never empty.
    pub(super) formats: Vec<Format>,
    pub(super) extensions: Vec<OfferedExtension>,
    /// Empty unless the client sends.
    pub(super) simulcast: Simulcast,
    /// Empty unless the client sends one stream.
    pub(super) ssrcs: Vec<(Ssrc, Option<Ssrc>)>,
    /// RTCP of reduced size (RFC 5506).
    pub(super) rtcp_rsize: bool,
}

impl Offer {
    /// Reads and validates a session description, in time linear in its length.
    ///
    /// [`OfferError::Discontinuous`] is not for here: that is found by [`answer`](super::answer).
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, OfferError> {
        if text.len() > limits.offer_bytes {
            return Err(OfferError::TooLarge { limit: limits.offer_bytes });
        }
        let description = Description::parse(text, limits.media_lines)?;
        let bundle = bundle(&description)?;
        let mut mids = mids(&description)?;
        let nameless = name_the_only_line(&description, &mut mids, bundle.as_deref());
        let active = active(&description, &mids, bundle.as_deref())?;
        let sources = Sources {
            sections: active.iter().map(|section| &section.attributes).collect(),
            session: &description.attributes,
        };
        let ice = sources.ice()?;
        let fingerprint = sources.fingerprint()?;
        let setup = sources.setup()?;
        let lines = lines(&description, mids, nameless, bundle.as_deref(), limits)?;
        require_one_served(&lines)?;
        require_rtcp_mux(&description, &active)?;
        require_one_meaning_per_extension_id(&lines)?;
        require_distinct_ssrcs(&lines, limits.ssrcs_per_participant)?;
        Ok(Self {
            ice,
            fingerprint,
            setup,
            bundle,
            extmap_allow_mixed: description.attributes.has("extmap-allow-mixed"),
            lines,
            message_bytes: limits.message_bytes,
        })
    }

    /// The client's ICE credentials.
    pub fn ice(&self) -> &IceCredentials {
        &self.ice
    }

    /// The client's certificate.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Our side of DTLS, if this is the first offer of a connection; later ones keep what was agreed.
    pub fn dtls_role(&self) -> DtlsRole {
        match self.setup {
            Setup::Either | Setup::Active => DtlsRole::Server,
            Setup::Passive => DtlsRole::Client,
        }
    }

    /// Whether the client offers to send audio or video.
    pub fn sends_media(&self) -> bool {
        self.media().any(|media| matches!(media.direction, Direction::SendOnly | Direction::SendReceive))
    }

    /// Whether the client offers to receive audio or video.
    pub fn receives_media(&self) -> bool {
        self.media().any(|media| matches!(media.direction, Direction::ReceiveOnly | Direction::SendReceive))
    }

    /// Whether the client offers an audio or video m-line on which it receives and does not send.
    pub fn only_receives_somewhere(&self) -> bool {
        self.media().any(|media| media.direction == Direction::ReceiveOnly)
    }

    fn media(&self) -> impl Iterator<Item = &Media> {
        self.lines.iter().filter_map(|line| match &line.body {
            Body::Media(media) => Some(media),
            Body::Rejected(_) | Body::Data => None,
        })
    }

    /// Whether the client has new ICE credentials: the answer then needs new ones of ours (RFC 8839 section 4.4.1.1.1).
    pub fn ice_restarted(&self, previous: &Negotiated) -> bool {
        self.ice != previous.ice
    }
}

fn bundle(description: &Description<'_>) -> Result<Option<Vec<Mid>>, OfferError> {
    let mut group = None;
    for value in description.attributes.values("group") {
        let mut words = value.split_ascii_whitespace();
        if words.next() != Some("BUNDLE") {
            continue;
        }
        if group.is_some() {
            return Err(unsupported("there is more than one BUNDLE group"));
        }
        let mut seen = BTreeSet::new();
        let mut mids = Vec::new();
        for word in words {
            let mid = parse_mid(word)?;
            if !seen.insert(mid) {
                return Err(malformed("the BUNDLE group names a mid twice"));
            }
            mids.push(mid);
        }
        group = Some(mids);
    }
    Ok(group)
}

/// The m-lines' mids, by position.
fn mids(description: &Description<'_>) -> Result<Vec<Option<Mid>>, OfferError> {
    let mut seen = BTreeSet::new();
    let mid_of = |section: &Section<'_>| {
        let Some(value) = section.attributes.values("mid").next() else {
            return Ok(None);
        };
        let mid = parse_mid(value)?;
        if seen.insert(mid) { Ok(Some(mid)) } else { Err(malformed("two m-lines have the same mid")) }
    };
    description.sections.iter().map(mid_of).collect()
}

/// Names the m-line of an offer that has one only, and no use for a name (RFC 5888 came later than what some devices speak). Its place.
fn name_the_only_line(
    description: &Description<'_>,
    mids: &mut [Option<Mid>],
    bundle: Option<&[Mid]>,
) -> Option<usize> {
    let ([_], [mid @ None], None) = (description.sections.as_slice(), mids, bundle) else { return None };
    *mid = Mid::new(b"0").ok();
    Some(0)
}

fn parse_mid(text: &str) -> Result<Mid, OfferError> {
    let mid = if is_token(text) { Mid::new(text.as_bytes()).ok() } else { None };
    mid.ok_or(malformed("a mid is not a token of at most 16 characters"))
}

/// The m-lines that the client has not stopped, the tagged one first.
fn active<'a, 'b>(
    description: &'b Description<'a>,
    mids: &[Option<Mid>],
    bundle: Option<&[Mid]>,
) -> Result<Vec<&'b Section<'a>>, OfferError> {
    let mut by_mid = BTreeMap::new();
    for (section, mid) in description.sections.iter().zip(mids) {
        if is_stopped(section, bundle) {
            continue;
        }
        let mid = mid.ok_or(unsupported("an m-line has no mid"))?;
        by_mid.insert(mid, section);
    }
    let count = by_mid.len();
    let active: Vec<_> = match bundle {
        Some(bundle) => bundle.iter().filter_map(|mid| by_mid.remove(mid)).collect(),
        None => by_mid.into_values().collect(),
    };
    if count == 0 {
        return Err(unsupported("there is no m-line that is not stopped"));
    }
    if bundle.is_none() && count > 1 {
        return Err(unsupported("several m-lines need a BUNDLE group"));
    }
    if active.len() < count {
        return Err(unsupported("an m-line is outside the BUNDLE group"));
    }
    Ok(active)
}

/// Port 0 means stopped, unless it is just not to be used outside the bundle (RFC 9143 section 6).
fn is_stopped(section: &Section<'_>, bundle: Option<&[Mid]>) -> bool {
    section.port == 0 && (bundle.is_none() || !section.attributes.has("bundle-only"))
}

fn lines(
    description: &Description<'_>,
    mids: Vec<Option<Mid>>,
    nameless: Option<usize>,
    bundle: Option<&[Mid]>,
    limits: &Limits,
) -> Result<Vec<Line>, OfferError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut has_data = false;
    let session = Session {
        direction: direction(&description.attributes)?.unwrap_or(Direction::SendReceive),
        extmap_allow_mixed: description.attributes.has("extmap-allow-mixed"),
    };
    for (place, (section, mid)) in description.sections.iter().zip(mids).enumerate() {
        let kind = match section.media {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        };
        let body = match kind {
            _ if is_stopped(section, bundle) => Body::Rejected(kind),
            Some(kind) if is_secure_rtp(section.protocol) => {
                media(section, kind, &session, limits)?.map_or(Body::Rejected(Some(kind)), Body::Media)
            }
            None if !has_data && is_data_channel(section)? => {
                has_data = true;
                Body::Data
            }
            kind => Body::Rejected(kind),
        };
        let format = section.formats.split(' ').next().unwrap_or_default();
        lines.push(Line {
            mid,
            nameless: nameless == Some(place),
            media: section.media.to_owned(),
            protocol: section.protocol.to_owned(),
            format: format.to_owned(),
            body,
        });
    }
    Ok(lines)
}

/// What the session says for all m-lines.
struct Session {
    direction: Direction,
    extmap_allow_mixed: bool,
}

/// Reads an audio or video m-line; `None` without a codec in common.
fn media(
    section: &Section<'_>,
    kind: Kind,
    session: &Session,
    limits: &Limits,
) -> Result<Option<Media>, OfferError> {
    let direction = direction(&section.attributes)?.unwrap_or(session.direction);
    let formats = formats(section, kind, direction)?;
    if formats.is_empty() {
        return Ok(None);
    }
    let extensions = extensions::offered(&section.attributes, session.extmap_allow_mixed)?;
    let mut simulcast = Simulcast::default();
    let mut announced = Vec::new();
    if direction.sends() {
        let read = Simulcast::read(section, limits.encodings_per_publication)?;
        // Without the extension no packet could say which stream it is of.
        if extensions::agreed(&extensions, kind, Way::ToUs).any(|agreed| agreed.extension == Extension::Rid) {
            simulcast = read;
        }
        let read = ssrcs(section)?;
        if simulcast.rids.is_empty() {
            announced = read;
        }
    }
    let rtcp_rsize = section.attributes.has("rtcp-rsize");
    Ok(Some(Media { kind, direction, formats, extensions, simulcast, ssrcs: announced, rtcp_rsize }))
}

fn direction(attributes: &Attributes<'_>) -> Result<Option<Direction>, OfferError> {
    let mut directions = attributes.iter().filter_map(|attribute| Direction::from_name(attribute.name));
    match (directions.next(), directions.next()) {
        (direction, None) => Ok(direction),
        (_, Some(_)) => Err(malformed("a section has two directions")),
    }
}

/// The profiles of RFC 9429 section 5.1.2 that imply SRTP keyed by DTLS.
fn is_secure_rtp(protocol: &str) -> bool {
    matches!(protocol, "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "TCP/TLS/RTP/SAVPF" | "RTP/SAVPF")
}

/// Whether it is an SCTP association over DTLS over UDP (RFC 8841).
fn is_data_channel(section: &Section<'_>) -> Result<bool, OfferError> {
    if (section.media, section.protocol, section.formats)
        != ("application", "UDP/DTLS/SCTP", "webrtc-datachannel")
    {
        return Ok(false);
    }
    let Some(value) = section.attributes.values("sctp-port").next() else {
        return Ok(true);
    };
    match parse_number::<u16>(value) {
        Some(SCTP_PORT) => Ok(true),
        Some(_) => Err(unsupported("the SCTP port is not 5000")),
        None => Err(malformed("the a=sctp-port line has no valid port")),
    }
}

fn require_one_served(lines: &[Line]) -> Result<(), OfferError> {
    if lines.iter().all(|line| matches!(line.body, Body::Rejected(_))) {
        return Err(unsupported("no m-line has a codec or protocol that is served"));
    }
    Ok(())
}

/// Attributes of the whole transport stand on the first RTP m-line of the bundle at least (RFC 9143 section 7.1.3).
fn require_rtcp_mux(description: &Description<'_>, active: &[&Section<'_>]) -> Result<(), OfferError> {
    let Some(first) = active.iter().find(|section| is_secure_rtp(section.protocol)) else { return Ok(()) };
    let muxed = |attributes: &Attributes<'_>| attributes.has("rtcp-mux") || attributes.has("rtcp-mux-only");
    if muxed(&first.attributes) || muxed(&description.attributes) {
        Ok(())
    } else {
        Err(unsupported("a=rtcp-mux is missing"))
    }
}

/// In a bundle an id is read before it is known of which m-line a packet is (RFC 9143 section 15.2).
fn require_one_meaning_per_extension_id(lines: &[Line]) -> Result<(), OfferError> {
    let mut meaning = BTreeMap::new();
    for Line { body, .. } in lines {
        let Body::Media(media) = body else { continue };
        for offered in &media.extensions {
            if *meaning.entry(offered.id).or_insert(offered.extension) != offered.extension {
                return Err(malformed("one extension id means different extensions on two m-lines"));
            }
        }
    }
    Ok(())
}

fn require_distinct_ssrcs(lines: &[Line], limit: usize) -> Result<(), OfferError> {
    let mut seen = BTreeSet::new();
    for Line { body, .. } in lines {
        let Body::Media(media) = body else { continue };
        for ssrc in media.ssrcs.iter().flat_map(|(ssrc, rtx)| [Some(*ssrc), *rtx]).flatten() {
            if !seen.insert(ssrc) {
                return Err(malformed("one SSRC is announced for two streams"));
            }
            if seen.len() > limit {
                return Err(unsupported("more SSRCs are announced than a participant may use"));
            }
        }
    }
    Ok(())
}

fn unsupported(reason: &'static str) -> OfferError {
    OfferError::Unsupported { reason }
}

/// The one SCTP port there is, on both sides.
pub(super) const SCTP_PORT: u16 = 5000;
