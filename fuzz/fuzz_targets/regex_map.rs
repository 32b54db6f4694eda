//! See [`fuzz_targets::regex_map`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::regex_map(data));
