#![no_main]
//! Any bytes as a journal: no panic, and what is read is written and read alike.

use libfuzzer_sys::fuzz_target;
use simmer_recorder::journal;

fuzz_target!(|data: &[u8]| {
    let records = journal::read(data);
    let written: Vec<u8> = records.iter().flat_map(journal::Record::encode).collect();
    assert_eq!(journal::read(&written), records);
});
