//! The chores of this repository.
//!
//! What this is: the one program that continuous integration and developers run, so that both see the same. What it
//! is not: a place for anything that the product needs; nothing here is shipped.
//!
//! ```text
//!   cargo xtask ci ──▶ fmt ─▶ clippy ─▶ tidy ─▶ test      every step timed, all run, one verdict
//!                                         │       └─ suite.rs    unit, integration and end-to-end, one count
//!                                         └───────── tidy/       rules that no compiler knows
//!   cargo xtask soak   e2e's long run           cargo xtask rfc   section → code
//! ```
//!
//! Invariants:
//! 1. The last line of `test` and `ci` is `N passed, N failed, N skipped`, alone; the exit code is 0 only if nothing failed.
//! 2. `ci` runs exactly the `test` that a developer runs.
#![expect(clippy::disallowed_methods, reason = "a world: it times its steps")]

mod ci;
mod rfc;
mod run;
mod suite;
mod tidy;
mod workspace;

use anyhow::Result;
use std::process::ExitCode;
use workspace::Workspace;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match chore(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chore that the arguments name; true when all is well.
fn chore(arguments: &[String]) -> Result<bool> {
    let mut words = arguments.iter().map(String::as_str);
    let (name, rest): (_, Vec<&str>) = (words.next().unwrap_or("help"), words.collect());
    let here = Workspace::find()?;
    match name {
        "tidy" => tidy::run(&here),
        "test" => suite::run(&here, &rest).map(|summary| summary.print()),
        "ci" => ci::run(&here),
        "soak" => run::cargo(&here).args(["run", "--package", "e2e", "--bin", "soak", "--"]).args(rest).succeeds(),
        "rfc" => rfc::run(&here),
        other => {
            print!("{USAGE}");
            Ok(matches!(other, "help" | "--help" | "-h"))
        }
    }
}

const USAGE: &str = "\
cargo xtask tidy            the rules that no compiler knows: layers, licences, links, reasons
cargo xtask test [ARG…]     every test of the workspace, then one line: N passed, N failed, N skipped
cargo xtask ci              fmt, clippy, tidy, test: all that continuous integration runs
cargo xtask soak [ARG…]     the long end-to-end run; arguments are passed on (--rounds N)
cargo xtask rfc             which code obeys which section of which RFC
";
