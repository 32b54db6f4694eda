//! The seeds of the suite: a few that are always the same, and all that ever failed and are closed.

use sim::{Report, Trouble, known_seeds, run};
use std::collections::BTreeSet;

/// Reports of seeds that pass; all of them must.
fn all_pass(seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut failed = Vec::new();
    for seed in seeds {
        match run(seed, |_| {}) {
            Ok(report) => reports.push(report),
            Err(broken) => failed.push(format!("seed {seed}: {broken}")),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    reports
}

#[test]
fn no_seed_breaks_a_promise() {
    let open: BTreeSet<u64> = known_seeds().filter(|known| known.is_open).map(|known| known.seed).collect();
    let reports = all_pass((0..SUITE_SEEDS).filter(|seed| !open.contains(seed)));
    // What the checks wait for does come.
    for trouble in Trouble::ALL {
        assert!(reports.iter().any(|report| report.ends.contains_key(&trouble)), "no life ended by {trouble:?}");
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    assert!(sum(|report| report.acknowledged) > 1_000, "hardly anything was acknowledged");
    assert!(sum(|report| report.failed_starts.into()) > 0, "no start met trouble");
    assert!(sum(|report| report.refused_epochs.into()) > 0, "no older epoch tried to start");
    assert!(sum(|report| report.quota_probes.into()) > 0, "no quota was probed");
    assert!(sum(|report| report.repeated.into()) > 0, "nothing was delivered again");
}

#[test]
fn seeds_that_ever_failed_pass() {
    all_pass(known_seeds().filter(|known| !known.is_open).map(|known| known.seed));
}

#[test]
fn one_seed_twice_is_one_trace() {
    let twice = || all_pass(TWICE.into_iter());
    let (first, second) = (twice(), twice());
    assert_eq!(first, second);
    let traces: BTreeSet<u64> = first.iter().map(|report| report.trace).collect();
    assert_eq!(traces.len(), TWICE.len(), "each seed has a trace of its own");
}

/// Enough for a suite that runs all the time.
const SUITE_SEEDS: u64 = 150;
const TWICE: [u64; 4] = [0, 7, 59, 254];
