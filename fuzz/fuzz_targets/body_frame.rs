//! See [`fuzz_targets::body_frame`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::body_frame(data));
