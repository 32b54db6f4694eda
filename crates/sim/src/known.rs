//! Seeds that ever failed: `seeds.txt`.

/// A seed that ever failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSeed {
    /// The seed.
    pub seed: u64,
    /// Whether it fails still: the suite leaves it out, the program does not.
    pub is_open: bool,
    /// What it found.
    pub what: &'static str,
}

/// Seeds that ever failed, as `seeds.txt` has them.
pub fn known_seeds() -> impl Iterator<Item = KnownSeed> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| parse(line).expect("seeds.txt has a seed and a sentence on each line"))
}

fn parse(line: &'static str) -> Option<KnownSeed> {
    let (seed, rest) = line.split_once(' ')?;
    let open = rest.strip_prefix("open: ");
    Some(KnownSeed { seed: seed.parse().ok()?, is_open: open.is_some(), what: open.unwrap_or(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_seed_and_a_sentence_and_may_be_open() {
        let what = "a message was lost";
        assert_eq!(parse("7 a message was lost"), Some(KnownSeed { seed: 7, is_open: false, what }));
        assert_eq!(parse("7 open: a message was lost"), Some(KnownSeed { seed: 7, is_open: true, what }));
        assert_eq!(parse("seven"), None);
    }
}
