#![no_main]
//! See `simmer_sfu::transport::fuzzing::sctp`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| simmer_sfu::transport::fuzzing::sctp(data));
