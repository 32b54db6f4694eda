//! The end-to-end tests: real clients, real files, real deaths. The README beside this folder says how to run one.
#![expect(clippy::disallowed_methods, reason = "a world: it owns files and time")]

mod back_end;
mod back_end_faults;
mod back_end_mail;
mod behind_a_proxy;
mod client_certificates;
mod clients;
mod cluster;
mod curl;
mod delivery;
mod differ;
mod directory_file;
mod example;
mod fail2ban;
mod full_disk;
mod hostile;
mod ledger;
mod libraries;
mod networks;
mod oauth;
mod other_back_ends;
mod postfix;
mod queue;
mod restart;
mod routing;
mod scram;
mod scripts;
mod starttls;
mod submission;
mod sync;
mod takeover;
mod world;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use world::{Kind, World};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let worlds = World::new(Kind::One).and_then(|one| Ok((one, World::new(Kind::Nodes)?)));
    let (world, nodes) = match worlds {
        Ok(worlds) => worlds,
        Err(error) => {
            eprintln!("no place for logs: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trials = [
        // The long ones first: they run beside the others.
        ledger::trials(&world),
        cluster::trials(&world),
        back_end::trials(&world),
        back_end_faults::trials(&world),
        back_end_mail::trials(&world),
        other_back_ends::trials(&world),
        behind_a_proxy::trials(&world),
        submission::trials(&world),
        oauth::trials(&world),
        client_certificates::trials(&world),
        postfix::trials(&world),
        example::trials(&world),
        takeover::trials(&world),
        fail2ban::trials(&world),
        full_disk::trials(&world),
        queue::trials(&world),
        differ::trials(&world),
        delivery::trials(&world),
        curl::trials(&world),
        clients::trials(&world),
        scram::trials(&world),
        scripts::trials(&world),
        libraries::trials(&world),
        sync::trials(&world),
        restart::trials(&world),
        routing::trials(&world),
        directory_file::trials(&world),
        starttls::trials(&world),
        hostile::trials(&world),
        networks::trials(&world),
        // What people use, through the proxy to the nodes of both stores.
        delivery::trials(&nodes),
        curl::trials(&nodes),
        clients::trials(&nodes),
        scripts::trials(&nodes),
        libraries::trials(&nodes),
        sync::trials(&nodes),
        starttls::trials(&nodes),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    let has_failed = conclusion.has_failed();
    let faults: Vec<String> = [world, nodes].into_iter().flat_map(|world| world.close(has_failed)).collect();
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}
