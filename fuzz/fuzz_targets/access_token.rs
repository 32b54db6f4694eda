//! See [`fuzz_targets::access_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::access_token(data));
