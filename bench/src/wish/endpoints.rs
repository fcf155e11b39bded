//! Where members come in over HTTP, with what token, and what of a scenario can be played there.

use anyhow::{Context as _, Result, ensure};
use url::Url;

use crate::options::RunOptions;
use crate::scenario::{Group, Scenario};
use crate::signaling::token;
use crate::wish::http::Access;
use crate::wish::tls::Trust;

/// The addresses of a run over WHIP and WHEP.
#[derive(Clone, Debug)]
pub struct Endpoints {
    whip: Option<Template>,
    whep: Option<Template>,
    bearer: Bearer,
    /// Which hosts may be asked.
    pub access: Access,
}

/// What stands in the `Authorization` header.
#[derive(Clone, Debug)]
enum Bearer {
    /// Nothing.
    None,
    /// This, with its placeholders filled in.
    Given(String),
    /// A token of Simmer's for the room and the member, signed with this key.
    Signed(String),
}

impl Endpoints {
    /// What the options say; none where they name a server of Simmer's protocol. `key` signs tokens where no token is given.
    ///
    /// # Errors
    /// An address that is none, or one that is neither `http://` nor `https://`; a file of authorities that names none.
    pub fn new(options: &RunOptions, key: &str) -> Result<Option<Self>> {
        if options.whip.is_none() && options.whep.is_none() {
            ensure!(options.ca.is_none(), "--ca is for --whip and --whep");
            return Ok(None);
        }
        let template = |text: &Option<String>, option: &'static str| {
            text.as_deref().map(|text| Template::parse(text).context(option)).transpose()
        };
        let bearer = match options.bearer.as_deref() {
            None => Bearer::Signed(key.to_owned()),
            Some("") => Bearer::None,
            Some(given) => Bearer::Given(given.to_owned()),
        };
        let trust = match &options.ca {
            Some(path) => Trust::of_file(path).context("--ca")?,
            None => Trust::of_system()?,
        };
        Ok(Some(Self {
            whip: template(&options.whip, "--whip")?,
            whep: template(&options.whep, "--whep")?,
            bearer,
            access: Access { remote: options.allow_remote, trust },
        }))
    }

    /// One of the addresses, to find the server by: the one to watch at before the one to publish at.
    ///
    /// # Errors
    /// None, since one is always there.
    pub fn sample(&self) -> Result<Url> {
        self.whep.as_ref().or(self.whip.as_ref()).context("there is no address")?.fill("room", 0)
    }

    /// Where the member with that place among its room's publishers publishes.
    ///
    /// # Errors
    /// No such address.
    pub fn publish(&self, room: &str, place: u32) -> Result<Url> {
        self.whip.as_ref().context("--whip is missing")?.fill(room, place)
    }

    /// Where the publisher with that place is watched.
    ///
    /// # Errors
    /// No such address.
    pub fn watch(&self, room: &str, place: u32) -> Result<Url> {
        self.whep.as_ref().context("--whep is missing")?.fill(room, place)
    }

    /// The bearer token for a member of that identity, if there is one; `place` is its own, or of whom it watches.
    ///
    /// # Errors
    /// What the signature says of the key.
    pub fn bearer(&self, room: &str, place: u32, identity: &str) -> Result<Option<String>> {
        match &self.bearer {
            Bearer::None => Ok(None),
            Bearer::Given(text) => Ok(Some(filled(text, room, place))),
            Bearer::Signed(key) => token(key, room, identity).map(Some),
        }
    }

    /// Whether the scenario can be played here, in so many rooms.
    ///
    /// # Errors
    /// A sentence that names what these protocols cannot do, and the group that asks for it.
    pub fn check(&self, scenario: &Scenario, rooms: u32) -> Result<()> {
        let publishers: u32 =
            scenario.groups.iter().filter(|group| group.publishes()).map(|group| group.count).sum();
        for group in &scenario.groups {
            self.check_group(scenario, group).with_context(|| format!("the group {}", group.name))?;
        }
        for (option, template) in [("--whip", &self.whip), ("--whep", &self.whep)] {
            let Some(template) = template else { continue };
            ensure!(
                rooms <= 1 || template.has("{room}"),
                "{option} names one path for {rooms} rooms: write {{room}} in it"
            );
            ensure!(
                publishers <= 1 || template.has("{member}"),
                "{option} names one path for {publishers} publishers of a room: write {{member}} in it"
            );
        }
        Ok(())
    }

    fn check_group(&self, scenario: &Scenario, group: &Group) -> Result<()> {
        let (video, audio) = scenario.slots(group);
        let watches = video + audio > 0;
        ensure!(
            !(group.publishes() && watches),
            "a session of WHIP only sends and one of WHEP only receives: who publishes sees and hears nobody"
        );
        ensure!(
            group.publishes() || watches,
            "whoever comes by WHIP or WHEP publishes or watches, and its members do neither"
        );
        ensure!(group.chats_per_min == 0.0, "WHIP and WHEP carry no chat: chats_per_min must be 0");
        ensure!(
            video <= 1 && audio <= 1,
            "a session of WHEP watches one publisher, and its members would see {video} and hear {audio}"
        );
        ensure!(!group.publishes() || self.whip.is_some(), "its members publish, and --whip is missing");
        ensure!(!watches || self.whep.is_some(), "its members watch, and --whep is missing");
        let first = scenario.groups.iter().find(|group| group.publishes());
        let (sends_video, sends_audio) =
            first.map_or((false, false), |first| (first.video.is_some(), first.audio));
        ensure!(
            (video == 0 || sends_video) && (audio == 0 || sends_audio),
            "its members watch the room's first publisher, who does not send all that they would see and hear"
        );
        Ok(())
    }
}

/// An address with `{room}` and `{member}` to be filled in behind its host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(String);

impl Template {
    fn parse(text: &str) -> Result<Self> {
        let placeholder = |text: &str| text.replace("{room}", "room").replace("{member}", "0");
        let url = Url::parse(&placeholder(text)).with_context(|| format!("{text} is no address"))?;
        ensure!(
            ["http", "https"].contains(&url.scheme()) && url.has_host(),
            "{text} must begin with http:// or https:// and a host"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none(),
            "{text}: a token goes into --bearer, not into the address"
        );
        let authority = text.split('/').nth(2).unwrap_or_default();
        ensure!(!authority.contains('{'), "{text}: {{room}} and {{member}} stand behind the host");
        ensure!(
            !placeholder(text).contains(['{', '}']),
            "{text}: of what stands in braces, only {{room}} and {{member}} are known"
        );
        Ok(Self(text.to_owned()))
    }

    fn has(&self, placeholder: &str) -> bool {
        self.0.contains(placeholder)
    }

    fn fill(&self, room: &str, place: u32) -> Result<Url> {
        let room: String = room.bytes().map(escaped).collect();
        Ok(Url::parse(&filled(&self.0, &room, place))?)
    }
}

fn filled(text: &str, room: &str, place: u32) -> String {
    // The room's name last: what stands in it is left as it is.
    text.replace("{member}", &place.to_string()).replace("{room}", room)
}

/// A byte as it may stand in any part of an address (RFC 3986 section 2.3).
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests;
