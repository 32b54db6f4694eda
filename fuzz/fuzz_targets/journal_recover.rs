//! See [`fuzz_targets::journal_recover`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::journal_recover(data));
