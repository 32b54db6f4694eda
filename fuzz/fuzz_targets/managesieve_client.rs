//! See [`fuzz_targets::managesieve_client`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::managesieve_client(data));
