//! See [`fuzz_targets::transport`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::transport(data));
