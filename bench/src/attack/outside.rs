//! Attacks of those the server does not know: nothing may ever come back.

use anyhow::Result;
use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::checks::StrangeChecks;
use super::generator::{Generator, Outsider, Volley};
use super::hellos::Hellos;
use super::noise::Noise;
use super::offers::OfferText;
use super::site::Site;

/// ClientHellos of all shapes, from many ports.
pub(super) fn hellos(site: &Site) -> Result<Volley> {
    from_nowhere(site, &mut Hellos::new(site.seed), MANY)
}

/// Checks of all wrong sorts, from one port and from many; some name a participant who is there.
pub(super) fn checks(site: &Site) -> Result<Volley> {
    let mut entered = site.enter(OfferText::receives)?;
    let mut volley = Volley::default();
    // A right one is answered, and by no more than was sent.
    let (check, reply) = entered.insider.bind()?;
    volley.promise(reply <= check, || format!("a check of {check} bytes was answered by {reply}"));
    volley.notes.push(format!("an authentic check of {check} bytes was answered by {reply}"));
    let known = Some(entered.insider.credentials().username.clone());
    for sockets in [1, MANY] {
        let outsider = Outsider::new(site.local, site.media()?, sockets)?;
        let mut checks = StrangeChecks::new(site.seed + sockets as u64, known.clone());
        let fired = outsider.fire(&mut checks, site.rate, site.length / 2);
        volley.promise(fired.replies == 0, || format!("{} checks were answered", fired.replies));
        volley.add(fired);
    }
    site.leave([entered]);
    Ok(volley)
}

/// Datagrams that begin with every byte there is.
pub(super) fn noise(site: &Site) -> Result<Volley> {
    from_nowhere(site, &mut Noise::new(site.seed), MANY)
}

/// RTP with the publisher's SSRC and numbers that might be its next, from elsewhere.
pub(super) fn forged_media(site: &Site) -> Result<Volley> {
    from_nowhere(site, &mut ForgedMedia::new(site.seed, PUBLISHER_SSRC), MANY)
}

fn from_nowhere(site: &Site, generator: &mut dyn Generator, sockets: usize) -> Result<Volley> {
    let outsider = Outsider::new(site.local, site.media()?, sockets)?;
    let mut volley = outsider.fire(generator, site.rate, site.length);
    let replies = volley.replies;
    volley.promise(replies == 0, || format!("{replies} replies to strangers"));
    Ok(volley)
}

/// RTP packets with numbers that go on, and contents and tags left to chance.
#[derive(Debug)]
pub(super) struct ForgedMedia {
    rng: ChaCha8Rng,
    ssrc: u32,
    sequence: u16,
}

impl ForgedMedia {
    /// As if of that stream.
    pub(super) fn new(seed: u64, ssrc: u32) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), ssrc, sequence: 0 }
    }
}

impl Generator for ForgedMedia {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        out.extend([0x80, 96]);
        out.extend(self.sequence.to_be_bytes());
        out.extend((u32::from(self.sequence) * 300).to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        let header = out.len();
        out.resize(header + self.rng.random_range(16..1100), 0);
        if let Some(rest) = out.get_mut(header..) {
            self.rng.fill_bytes(rest);
        }
    }
}

/// The SSRC of the honest publisher's video.
pub(super) const PUBLISHER_SSRC: u32 = 0x5100_0000;
const MANY: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::shared::marshal::Unmarshal as _;

    #[test]
    fn forged_packets_are_packets_of_the_publishers_stream() {
        use crate::flow::Flows;
        use crate::publisher::Publisher;
        use crate::source::VideoConfig;
        let config =
            VideoConfig { publisher: 0, bitrate_bps: 1_000_000, fps: 30, width: 1280, height: 720, seed: 1 };
        let plan = Publisher::new(config, true, false, std::sync::Arc::new(Flows::new(1, false))).plan();
        let mut media = ForgedMedia::new(1, PUBLISHER_SSRC);
        for number in 1..100_u16 {
            let mut out = Vec::new();
            media.next(&mut out);
            let packet = rtp::Packet::unmarshal(&mut &out[..]).expect("a packet");
            assert_eq!(Some(packet.header.ssrc), plan.send_video.map(|(media, _)| media));
            assert_eq!((packet.header.sequence_number, packet.header.payload_type), (number, 96));
            assert!(packet.payload.len() >= 16, "room for a tag");
        }
    }
}
