//! See [`fuzz_targets::queue_record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::queue_record(data));
