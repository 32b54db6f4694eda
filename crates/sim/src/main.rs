//! Runs seeds one after the other and names those that break a promise: `cargo run -p sim -- --seeds 0..10000`, or
//! `--known` for those that ever failed. `--aloud` in addition tells what happens.

use std::ops::Range;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let aloud = arguments.pop_if(|last| last == "--aloud").is_some();
    let tell: fn(&str) = if aloud { |line| println!("{line}") } else { |_| {} };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--seeds", seeds] => match range(seeds) {
            Some(seeds) => replay(seeds.map(|seed| (seed, String::new())), tell),
            None => usage(),
        },
        ["--known"] => replay(sim::known_seeds().map(|known| (known.seed, remark(&known))), tell),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: sim --seeds FROM..TO [--aloud]\n       sim --known [--aloud]");
    ExitCode::from(2)
}

/// Runs seeds, each with a remark for those that fail.
fn replay(seeds: impl Iterator<Item = (u64, String)>, tell: fn(&str)) -> ExitCode {
    let (mut failed, mut count) = (0u64, 0u64);
    for (seed, remark) in seeds {
        count += 1;
        if let Err(broken) = sim::run(seed, tell) {
            failed += 1;
            println!("seed {seed}: {broken}{remark}");
        }
        if count.is_multiple_of(1_000) {
            println!("{count} seeds, {failed} failed");
        }
    }
    println!("{count} seeds, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn remark(known: &sim::KnownSeed) -> String {
    let since = if known.is_open { "still open" } else { "it failed before" };
    format!(" ({since}: {})", known.what)
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}
