//! What continuous integration runs.

use crate::workspace::Workspace;
use crate::{run, suite, tidy};
use anyhow::Result;
use std::time::{Duration, Instant};

/// Runs every step, also after one failed, so that one run shows all that is wrong; true when none failed.
pub(crate) fn run(here: &Workspace) -> Result<bool> {
    let mut steps = Steps { taken: Vec::new() };
    steps.take("fmt", || run::cargo(here).args(["fmt", "--all", "--check"]).succeeds())?;
    // missing_docs and every other lint of the workspace is a warning while one works and an error here.
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.take("clippy", || run::cargo(here).args(clippy).succeeds())?;
    steps.take("tidy", || tidy::run(here))?;

    let mut summary = None;
    steps.take("test", || {
        let counted = suite::run(here, &[])?;
        let passed = counted.is_good();
        summary = Some(counted);
        Ok(passed)
    })?;
    steps.report();
    let tests_hold = summary.is_some_and(|summary| summary.print());
    Ok(tests_hold && steps.all_hold())
}

struct Steps {
    taken: Vec<(&'static str, bool, Duration)>,
}

impl Steps {
    fn take(&mut self, name: &'static str, step: impl FnOnce() -> Result<bool>) -> Result<()> {
        println!("── {name}");
        let start = Instant::now();
        let holds = step()?;
        self.taken.push((name, holds, start.elapsed()));
        Ok(())
    }

    fn report(&self) {
        println!();
        for (name, holds, took) in &self.taken {
            println!("{:7} {name:8} {:8.1} s", if *holds { "ok" } else { "FAILED" }, took.as_secs_f64());
        }
    }

    fn all_hold(&self) -> bool {
        self.taken.iter().all(|(_, holds, _)| *holds)
    }
}
