//! The end-to-end tests: real clients, real files, real deaths. The README beside this folder says how to run one.
#![expect(clippy::disallowed_methods, reason = "a world: it owns files and time")]

mod clients;
mod cluster;
mod curl;
mod delivery;
mod differ;
mod directory_file;
mod example;
mod full_disk;
mod hostile;
mod ledger;
mod networks;
mod queue;
mod restart;
mod routing;
mod scripts;
mod starttls;
mod sync;
mod world;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use world::World;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let world = match World::new() {
        Ok(world) => world,
        Err(error) => {
            eprintln!("no place for logs: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trials = [
        // The long ones first: they run beside the others.
        ledger::trials(&world),
        cluster::trials(&world),
        example::trials(&world),
        full_disk::trials(&world),
        queue::trials(&world),
        differ::trials(&world),
        delivery::trials(&world),
        curl::trials(&world),
        clients::trials(&world),
        scripts::trials(&world),
        sync::trials(&world),
        restart::trials(&world),
        routing::trials(&world),
        directory_file::trials(&world),
        starttls::trials(&world),
        hostile::trials(&world),
        networks::trials(&world),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    let faults = world.close(conclusion.has_failed());
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}
