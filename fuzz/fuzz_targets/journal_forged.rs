//! See [`fuzz_targets::journal_forged`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::journal_forged(data));
