//! The known name that was probably meant.

/// The candidate that differs from `name` by the fewest changed letters, if that is few enough to be a slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    let (changes, candidate) = near.min()?;
    (changes * 3 <= name.chars().count().max(3)).then_some(candidate)
}

/// How many letters to insert, remove or replace (Levenshtein). Long names are compared by their beginning.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(NAME_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, cb) in b.chars().take(NAME_CHARS_MAX).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (ca, above) in a.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(*ca != cb)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Names of stores and nodes have at most 63 octets, field names fewer.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let known = ["ingrid", "fritz", "default_store"];
        for (typed, meant) in [
            ("ingird", Some("ingrid")),
            ("fritzz", Some("fritz")),
            ("defaultstore", Some("default_store")),
            ("x", None),
            ("completely-other", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("a", "a")), (3, 3, 0));
    }
}
