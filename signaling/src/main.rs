//! The binary `simmer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simmer_signaling::server::main()
}
