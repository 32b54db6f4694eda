//! See [`fuzz_targets::user_map`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::user_map(data));
