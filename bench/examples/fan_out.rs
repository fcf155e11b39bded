//! Forwards pictures to a hundred viewers, for an instruction counter: `fan_out PICTURES`.

use std::time::Duration;

use simmer_sfu::sim::{Broadcast, PlainContext};
use simmer_sfu::transport::Profile;

fn main() -> anyhow::Result<()> {
    let pictures: u32 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let mut room = Broadcast::new(100, PlainContext::sealing(Profile::AeadAes128Gcm)?);
    for _ in 0..pictures {
        let picture = [(); 8].map(|()| room.datagram());
        room.receive_burst(picture);
        room.pass(Duration::from_millis(33));
    }
    eprintln!("{}", room.forwarded());
    Ok(())
}
