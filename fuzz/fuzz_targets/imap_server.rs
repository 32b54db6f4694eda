//! See [`fuzz_targets::imap_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::imap_server(data));
