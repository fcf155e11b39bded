//! The emulated networks of a run: one relay before each of the server's media addresses, made when the address is first named.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};

use crate::scenario::Link;

/// Relays that run until [`Links::stop`].
#[derive(Debug)]
pub struct Links {
    link: Link,
    seed: u64,
    stop: Arc<AtomicBool>,
    relays: Mutex<BTreeMap<SocketAddr, Running>>,
}

#[derive(Debug)]
struct Running {
    local: SocketAddr,
    thread: JoinHandle<()>,
}

impl Links {
    /// None yet. What the links do follows from the seed and from which address was named when.
    pub fn new(link: Link, seed: u64) -> Self {
        Self { link, seed, stop: Arc::default(), relays: Mutex::default() }
    }

    /// Where to send what that media address is to get.
    ///
    /// # Errors
    /// No free port, or no thread.
    pub fn before(&self, address: SocketAddr) -> Result<SocketAddr> {
        let mut relays = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = relays.get(&address) {
            return Ok(running.local);
        }
        let seed = self.seed.wrapping_add(relays.len() as u64 * SEEDS_OF_A_RELAY);
        let relay = self.link.relay(address, seed)?;
        let (local, stop) = (relay.local_addr(), self.stop.clone());
        let thread = std::thread::Builder::new().name("link".to_owned()).spawn(move || {
            if let Err(error) = relay.run(&stop) {
                tracing::warn!("the link ended: {error:#}");
            }
        })?;
        relays.insert(address, Running { local, thread });
        Ok(local)
    }

    /// Ends all of them.
    ///
    /// # Errors
    /// One that panicked.
    pub fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let relays = self.relays.into_inner().unwrap_or_else(PoisonError::into_inner);
        for running in relays.into_values() {
            running.thread.join().map_err(|_| anyhow!("the link panicked"))?;
        }
        Ok(())
    }
}

/// Each client of a relay draws its links' seeds from the relay's.
const SEEDS_OF_A_RELAY: u64 = 1_000_000;
