//! Pages that must be there, and links that must lead somewhere.

use crate::workspace::Workspace;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The breaches in all pages.
pub(super) fn check(here: &Workspace) -> Result<Vec<String>> {
    let missing = REQUIRED.iter().filter(|name| !here.root().join(name).exists());
    let mut breaches: Vec<String> = missing.map(|name| format!("{name}: is missing")).collect();
    let mut pages = here.files(Path::new("docs"), ".md")?;
    pages.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(PathBuf::from));
    for page in pages.iter().filter(|page| here.root().join(page).exists()) {
        let folder = here.root().join(page.parent().unwrap_or(Path::new("")));
        for (line, link) in links(&here.text(page)?) {
            if !folder.join(&link).exists() {
                breaches.push(format!("{}:{line}: the link to {link} leads nowhere", page.display()));
            }
        }
    }
    Ok(breaches)
}

/// The targets of `[text](target)` that are files, without their anchors, each with its line. Code is not looked at.
fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        for text in line.split('`').step_by(2) {
            for after in text.split("](").skip(1) {
                let target = after.split([')', '#', ' ']).next().unwrap_or("");
                if !target.is_empty() && !target.contains(':') {
                    found.push((number + 1, target.to_owned()));
                }
            }
        }
    }
    found
}

/// What a visitor, an operator and a packager look for.
const REQUIRED: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "deny.toml",
    ".ci/run",
    "docs/format",
    "docs/decisions",
    "docs/operating/configuration.md",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found() {
        let page =
            "see [a](docs/a.md#part) and [b](https://example.org/b), `[c](d)`\n```\n[e](f)\n```\n[g](h.md)\n[i](#j)";
        assert_eq!(links(page), [(1, "docs/a.md".to_owned()), (5, "h.md".to_owned())]);
    }
}
