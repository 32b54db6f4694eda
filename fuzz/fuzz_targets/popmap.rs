//! See [`fuzz_targets::popmap`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::popmap(data));
