//! See [`fuzz_targets::pop3_client`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::pop3_client(data));
