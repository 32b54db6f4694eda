//! One spelling of a password, whatever keyboard it was typed on (RFC 4013, which RFC 5802 §2.2 prescribes).
//!
//! Two steps of it are left out, and no client misses them: code points that were unassigned in Unicode 3.2 are taken, and
//! the directions of writing are not checked (RFC 3454 §6). A client that checks them refuses the password before we see it.

use unicode_normalization::UnicodeNormalization;

/// The prepared text; none where it holds what is forbidden, or nothing is left of it.
pub(super) fn saslprep(text: &str) -> Option<String> {
    let mapped = text.chars().filter(|c| !is_mapped_to_nothing(*c)).map(|c| if is_space(c) { ' ' } else { c });
    let prepared: String = mapped.nfkc().collect();
    (!prepared.is_empty() && !prepared.chars().any(is_prohibited)).then_some(prepared)
}

/// RFC 3454, table C.1.2. NFKC maps most of them too; not U+1680.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// RFC 3454, table B.1. U+200B is in both tables; RFC 4013 §2.1 maps spaces first.
fn is_mapped_to_nothing(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200c}' | '\u{200d}' | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// RFC 4013 §2.3: tables C.2 to C.9 of RFC 3454. Surrogates (C.5) are no characters here.
fn is_prohibited(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{2028}' | '\u{2029}' | '\u{2061}'..='\u{2063}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{fff9}'..='\u{fffd}' | '\u{2ff0}'..='\u{2ffb}' | '\u{340}' | '\u{341}'
            | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
            | '\u{f0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4013_examples() {
        for (text, prepared) in [
            ("I\u{ad}X", Some("IX")),
            ("user", Some("user")),
            ("USER", Some("USER")),
            ("\u{aa}", Some("a")),
            ("\u{2168}", Some("IX")),
            ("\u{7}", None),
        ] {
            assert_eq!(saslprep(text).as_deref(), prepared, "{text:?}");
        }
    }

    #[test]
    fn one_spelling_for_all_keyboards() {
        assert_eq!(saslprep("e\u{301}\u{3000}x\u{200b}y").as_deref(), Some("\u{e9} x y"));
        for none in ["\u{ad}", "a\u{e000}", "a\u{1fffe}", "a\u{200e}"] {
            assert_eq!(saslprep(none), None, "{none:?}");
        }
    }
}
