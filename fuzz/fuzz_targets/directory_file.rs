//! See [`fuzz_targets::directory_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::directory_file(data));
