//! See [`fuzz_targets::mailbox_record`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::mailbox_record(data));
