//! Runs seeds one after the other and names those that break a promise: `cargo run -p sim -- --seeds 0..10000`.
//! `--aloud` in addition tells what happens.

use std::ops::Range;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tell: fn(&str) = match arguments.last().map(String::as_str) {
        Some("--aloud") => |line| println!("{line}"),
        _ => |_| {},
    };
    let seeds = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--seeds", seeds] | ["--seeds", seeds, "--aloud"] => range(seeds),
        _ => None,
    };
    let Some(seeds) = seeds else {
        eprintln!("usage: sim --seeds FROM..TO [--aloud]");
        return ExitCode::from(2);
    };
    let (mut failed, mut count) = (0u64, 0u64);
    for seed in seeds {
        count += 1;
        let broken = match std::panic::catch_unwind(|| sim::run_aloud(seed, &tell)) {
            Ok(Ok(_)) => None,
            Ok(Err(violation)) => Some(violation.to_string()),
            // The panic has said why, on standard error.
            Err(_) => Some("a panic".to_owned()),
        };
        if let Some(why) = broken {
            failed += 1;
            println!("seed {seed}: {why}");
        }
        if count.is_multiple_of(1_000) {
            println!("{count} seeds, {failed} failed");
        }
    }
    println!("{count} seeds, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}
