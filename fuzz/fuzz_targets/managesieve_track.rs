//! See [`fuzz_targets::managesieve_track`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::managesieve_track(data));
