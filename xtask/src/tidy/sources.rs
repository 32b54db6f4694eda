//! What source files look like from outside.

use crate::workspace::Workspace;
use anyhow::Result;
use std::path::Path;

/// The breaches in all sources.
pub(super) fn check(here: &Workspace) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for folder in ["crates", "xtask", "e2e", "bench", "fuzz"] {
        for path in here.files(Path::new(folder), ".rs")? {
            let text = here.text(&path)?;
            let found = look(&path, &text);
            breaches.extend(found.into_iter().map(|what| format!("{}{what}", path.display())));
        }
    }
    Ok(breaches)
}

fn look(path: &Path, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let length = text.lines().count();
    if length > LINES_MAX {
        breaches.push(format!(": {length} lines, at most {LINES_MAX}: which noun is missing?"));
    }
    let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    if is_root && !text.starts_with("//!") {
        breaches.push(": does not begin with what the crate is (`//!`)".to_owned());
    }
    for (number, line) in text.lines().enumerate() {
        for word in UNFINISHED {
            if line.contains(word) {
                breaches.push(format!(":{}: `{word}`", number + 1));
            }
        }
    }
    breaches
}

/// A file that long hides a noun.
const LINES_MAX: usize = 1000;

/// What may not be committed. Written in two halves, or this file would be the first to break the rule.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
    concat!("db", "g!("),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_are_seen() {
        let [word, ..] = UNFINISHED;
        let found = look(Path::new("crates/x/src/lib.rs"), &format!("fn x() {{\n    {word})\n}}\n"));
        assert_eq!(found.len(), 2, "{found:?}");
        let long = "//! x\n".repeat(LINES_MAX + 1);
        assert_eq!(look(Path::new("crates/x/src/lib.rs"), &long).len(), 1);
        assert!(look(Path::new("crates/x/src/lib.rs"), "//! x\n").is_empty());
    }
}
