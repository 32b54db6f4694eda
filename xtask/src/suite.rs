//! Every test of the workspace, and one count over all of them.
//!
//! Unit, integration and documentation tests and the end-to-end tests (package `e2e`, a libtest-mimic target) come
//! out of one `cargo test`; the program that the end-to-end tests start is built first, in the same profile, and
//! named to them by `POSTHOUSE_BIN`.

use crate::run;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What the test programs reported, added up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    passed: u64,
    failures: Vec<String>,
    /// Failures that no test owns up to: a program that did not build, or died.
    broken: u64,
    skipped: Vec<String>,
}

/// Builds the program, then runs all tests; `arguments` go to `cargo test`.
pub(crate) fn run(here: &Workspace, arguments: &[&str]) -> Result<Summary> {
    let mut summary = Summary::default();
    // --workspace, so that features are those of the test build and nothing is compiled twice.
    if !run::cargo(here).args(["build", "--workspace", "--bin", "posthouse"]).succeeds()? {
        summary.broken += 1;
        return Ok(summary);
    }
    let test = run::cargo(here)
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(arguments)
        .env("POSTHOUSE_BIN", target_folder(here)?.join("debug/posthouse"));
    let succeeded = test.watch(|line| summary.see(line))?;
    summary.close(succeeded);
    Ok(summary)
}

fn target_folder(here: &Workspace) -> Result<PathBuf> {
    let metadata = run::cargo(here).args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let folder = metadata.get("target_directory").and_then(|folder| folder.as_str());
    Ok(folder.context("cargo metadata names no target directory")?.into())
}

impl Summary {
    /// Reads one line of libtest's (or libtest-mimic's) report.
    fn see(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
        } else if let Some((name, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = name.trim_end().to_owned();
            if verdict.starts_with("FAILED") {
                self.failures.push(name);
            } else if verdict.starts_with("ignored") {
                self.skipped.push(format!("{name}{}", verdict.trim_start_matches("ignored")));
            }
        }
    }

    /// A run that failed without a failed test failed all the same.
    fn close(&mut self, succeeded: bool) {
        if !succeeded && self.failures.is_empty() {
            self.broken += 1;
        }
    }

    /// Whether nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        self.failures.is_empty() && self.broken == 0
    }

    /// Prints what was skipped and what failed, by name, and the count on the last line; whether nothing failed.
    pub(crate) fn print(&self) -> bool {
        println!();
        for name in &self.skipped {
            println!("skipped: {name}");
        }
        for name in &self.failures {
            println!("failed: {name}");
        }
        if self.broken > 0 {
            println!("failed: a test program did not build or did not end by itself, see above");
        }
        println!("{self}");
        self.is_good()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failed = self.failures.len() as u64 + self.broken;
        write!(f, "{} passed, {failed} failed, {} skipped", self.passed, self.skipped.len())
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, what: &str) -> u64 {
    let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let before = words.windows(2).find_map(|pair| match pair {
        [number, word] if *word == what => number.parse().ok(),
        _ => None,
    });
    before.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(lines: &str, succeeded: bool) -> Summary {
        let mut summary = Summary::default();
        lines.lines().for_each(|line| summary.see(line));
        summary.close(succeeded);
        summary
    }

    #[test]
    fn reports_add_up() {
        let seen = summary(
            "running 3 tests\n\
             test address::tests::forms ... ok\n\
             test peers::postfix        ... ignored, no postfix here\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
            true,
        );
        assert_eq!(seen.to_string(), "42 passed, 0 failed, 1 skipped");
        assert_eq!(seen.skipped, ["peers::postfix, no postfix here"]);
        assert!(seen.is_good());
    }

    #[test]
    fn failures_are_named_once() {
        let seen = summary(
            "test a ... FAILED\ntest b ... ok\nfailures:\n    a\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n",
            false,
        );
        assert_eq!(seen.to_string(), "1 passed, 1 failed, 0 skipped");
        assert!(!seen.is_good());
    }

    #[test]
    fn a_test_program_that_dies_is_a_failure() {
        assert_eq!(summary("running 1 test\n", false).to_string(), "0 passed, 1 failed, 0 skipped");
    }
}
