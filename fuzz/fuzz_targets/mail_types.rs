//! See [`fuzz_targets::mail_types`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::mail_types(data));
