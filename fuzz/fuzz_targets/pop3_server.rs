//! See [`fuzz_targets::pop3_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::pop3_server(data));
