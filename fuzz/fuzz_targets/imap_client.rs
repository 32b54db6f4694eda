//! See [`fuzz_targets::imap_client`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::imap_client(data));
