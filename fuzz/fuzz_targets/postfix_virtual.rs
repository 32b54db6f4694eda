//! See [`fuzz_targets::postfix_virtual`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::postfix_virtual(data));
