//! See [`fuzz_targets::imap_deflate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::imap_deflate(data));
