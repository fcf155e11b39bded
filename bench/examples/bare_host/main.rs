//! The media core with the least signaling around it: what is left of a server's cost without rooms, tokens and logs.
//!
//! `cargo run --release -p simmer-bench --example bare_host -- 127.0.0.1:7443`

mod host;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7443".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = host::Host::start(address.parse().context("HOST:PORT")?).await?;
        tracing::info!(address = %host.address, "listening");
        Ok(tokio::signal::ctrl_c().await?)
    })
}
