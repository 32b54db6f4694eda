//! See [`fuzz_targets::stored_password`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::stored_password(data));
