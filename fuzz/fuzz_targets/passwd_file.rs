//! See [`fuzz_targets::passwd_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::passwd_file(data));
