//! Sizes as people write them: `500M`, `2G`; 1024 each.

/// Reads a size in octets.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: a number with K, M, G or T, such as 2G");
    let (digits, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((at, _)) => text.split_at_checked(at).ok_or_else(wrong)?,
        None => (text, ""),
    };
    let shift = match unit.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// Writes a size in the greatest unit that holds it without a rest.
pub(super) fn show(octets: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if octets > 0 && octets.is_multiple_of(1 << shift) {
            return format!("{}{unit}", octets >> shift);
        }
    }
    octets.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, octets, shown) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("2g", 2 << 30, "2G"),
            ("1536M", 1536 << 20, "1536M"),
            ("10 GiB", 0, ""),
            ("4KiB", 4096, "4K"),
        ] {
            match shown {
                "" => assert!(parse(text).is_err(), "{text}"),
                _ => assert_eq!((parse(text), show(octets).as_str()), (Ok(octets), shown)),
            }
        }
        for text in ["", "G", "-1", "1X", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
