//! The binary `simmer`.

use std::process::ExitCode;

/// Gives back to the system what rooms that are gone have given back, within seconds: `.cargo/config.toml` says how soon.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    simmer_signaling::server::main()
}
