//! See [`fuzz_targets::managesieve_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::managesieve_server(data));
