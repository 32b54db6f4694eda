//! See [`fuzz_targets::aliases`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::aliases(data));
